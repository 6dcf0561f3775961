package domain

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// Parse parses details from JSON (RFC 8259), normalises and validates them. It is strict, so that a typo never loses data:
// duplicate or unknown members, wrong types, trailing data and invalid UTF-8 are errors. Dates must be before now.
//
// The error is an *Error: CodeMalformed for the first syntax error, or else CodeInvalid with every violated rule.
func Parse(body []byte, now time.Time) (Details, error) {
	var d Details
	violations, err := parse(body, func(r *reader) (err error) {
		d, err = r.document()
		return err
	})
	if err != nil {
		return Details{}, err
	}
	return d.checked(violations, now)
}

// parse reads one JSON value with read, and returns the violations that it recorded. The error has CodeMalformed.
func parse(text []byte, read func(*reader) error) ([]Violation, error) {
	dec := decoders.Get().(*jsontext.Decoder) //nolint:forcetypeassert // New makes nothing else
	defer decoders.Put(dec)
	dec.Reset(bytes.NewBuffer(text))
	r := reader{dec: dec}
	if err := read(&r); err != nil {
		return nil, malformed(err, len(text))
	}
	if rest := bytes.TrimLeft(text[dec.InputOffset():], " \t\r\n"); len(rest) > 0 {
		return nil, &Error{
			Code: CodeMalformed, Offset: int64(len(text) - len(rest)), Err: errors.New("data after the JSON value"),
		}
	}
	return r.violations, nil
}

// checked returns the details in their normal form, or the violations of reading them and of their content.
func (d *Details) checked(violations []Violation, now time.Time) (Details, error) {
	d.normalise()
	if violations = d.validate(violations, now); len(violations) > 0 {
		return Details{}, &Error{Code: CodeInvalid, Violations: violations}
	}
	return *d, nil
}

// decoders are reused, because each caches the names of members.
var decoders = sync.Pool{New: func() any { return new(jsontext.Decoder) }}

// quotedEscape matches the invalid escape that jsontext quotes: up to twelve bytes, which may include text that follows it.
var quotedEscape = regexp.MustCompile("(escape sequence|surrogate pair) [`\"].*[`\"]")

// malformed returns the Error for an error of jsontext.
func malformed(err error, size int) error {
	e := &Error{Code: CodeMalformed, Offset: int64(size), Err: errors.New("the JSON ends too early")}
	if se, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		e.Pointer = bounded(se.JSONPointer)
		if !errors.Is(se.Err, io.ErrUnexpectedEOF) {
			e.Offset = se.ByteOffset
			e.Err = errors.New(quotedEscape.ReplaceAllString(se.Err.Error(), "$1"))
		}
	}
	return e
}

// The limits of what is reported about members that cannot be read: a request must not cause a larger response.
const (
	maxUnreadable = 100 // values that are unknown or of the wrong type
	maxPointer    = 256 // bytes of a pointer: callers choose the names of unknown members
)

// bounded returns a pointer, or its beginning with an ellipsis if it is longer than maxPointer.
func bounded(pointer jsontext.Pointer) string {
	if len(pointer) <= maxPointer {
		return string(pointer)
	}
	begin := strings.ToValidUTF8(string(pointer[:maxPointer-len("…")]), "")
	return strings.TrimSuffix(begin, "~") + "…" // a tilde begins an escape
}

// reader decodes JSON. It records a value of the wrong kind as a violation and skips it, to find all in one pass. Its errors are syntax errors.
type reader struct {
	dec        *jsontext.Decoder
	name       []byte // scratch space
	violations []Violation
}

func (r *reader) document() (Details, error) {
	var d Details
	err := r.object(func(name []byte) (bool, error) {
		switch string(name) {
		case "firstName":
			return true, r.text(&d.FirstName)
		case "lastName":
			return true, r.text(&d.LastName)
		case "emailAddress":
			return true, r.text(&d.EmailAddress)
		case "title":
			return true, r.nullable(&d.Title)
		case "middleName":
			return true, r.nullable(&d.MiddleName)
		case "companyName":
			return true, r.nullable(&d.CompanyName)
		case "telephoneNumber":
			return true, r.nullable(&d.TelephoneNumber)
		case "altTelephoneNumber":
			return true, r.nullable(&d.AltTelephoneNumber)
		case "pronouns":
			return true, r.nullable(&d.Pronouns)
		case "communicationPreferences":
			return true, nullableObject(r, &d.CommunicationPreferences, r.preferences)
		case "avatarUrl":
			return true, r.nullable(&d.AvatarURL)
		case "dob":
			return true, r.nullable(&d.DOB)
		case "nationality":
			return true, r.nullable(&d.Nationality)
		case "niNumber":
			return true, r.nullable(&d.NINumber)
		case "occupation":
			return true, r.nullable(&d.Occupation)
		case "address":
			return true, nullableObject(r, &d.Address, r.address)
		}
		return false, nil
	})
	return d, err
}

func (r *reader) preferences(p *CommunicationPreferences) error {
	return r.object(func(name []byte) (bool, error) {
		switch string(name) {
		case "email":
			return true, r.boolean(&p.Email)
		case "phone":
			return true, r.boolean(&p.Phone)
		case "sms":
			return true, r.boolean(&p.SMS)
		case "post":
			return true, r.boolean(&p.Post)
		}
		return false, nil
	})
}

func (r *reader) address(a *Address) error {
	return r.object(func(name []byte) (bool, error) {
		switch string(name) {
		case "line_1":
			return true, r.text(&a.Line1)
		case "line_2":
			return true, r.nullable(&a.Line2)
		case "line_3":
			return true, r.nullable(&a.Line3)
		case "post_town":
			return true, r.nullable(&a.PostTown)
		case "county":
			return true, r.nullable(&a.County)
		case "postcode":
			return true, r.text(&a.Postcode)
		case "uprn":
			return true, r.nullable(&a.UPRN)
		}
		return false, nil
	})
}

// object reads an object. It calls member with each name; member reads the value, or reports that it does not know the name.
func (r *reader) object(member func(name []byte) (known bool, err error)) error {
	if r.dec.PeekKind() != '{' {
		return r.skip("must be an object")
	}
	if _, err := r.dec.ReadToken(); err != nil {
		return err
	}
	for r.dec.PeekKind() != '}' {
		name, err := r.dec.ReadValue()
		if err != nil {
			return err
		}
		if r.name, err = jsontext.AppendUnquote(r.name[:0], name); err != nil {
			return err
		}
		known, err := member(r.name)
		if err == nil && !known {
			err = r.skip("is an unknown member")
		}
		if err != nil {
			return err
		}
	}
	_, err := r.dec.ReadToken()
	return err
}

// nullableObject reads an object with read, or null.
func nullableObject[T any](r *reader, object **T, read func(*T) error) error {
	if r.dec.PeekKind() == 'n' {
		return r.dec.SkipValue()
	}
	*object = new(T)
	return read(*object)
}

// text reads a string.
func (r *reader) text(s *string) error {
	if r.dec.PeekKind() != '"' {
		return r.skip("must be a string")
	}
	token, err := r.dec.ReadToken()
	if err == nil {
		*s = token.String()
	}
	return err
}

// nullable reads a string or null.
func (r *reader) nullable(s **string) error {
	switch r.dec.PeekKind() {
	case 'n':
		return r.dec.SkipValue()
	case '"':
		*s = new(string)
		return r.text(*s)
	default:
		return r.skip("must be a string or null")
	}
}

func (r *reader) boolean(b *bool) error {
	if kind := r.dec.PeekKind(); kind != 't' && kind != 'f' {
		return r.skip("must be true or false")
	}
	token, err := r.dec.ReadToken()
	if err == nil {
		*b = token.Bool()
	}
	return err
}

// skip skips a value and records the violation.
func (r *reader) skip(detail string) error {
	if err := r.dec.SkipValue(); err != nil {
		return err
	}
	if len(r.violations) < maxUnreadable {
		r.violations = append(r.violations, Violation{Pointer: bounded(r.dec.StackPointer()), Detail: detail})
	}
	return nil
}
