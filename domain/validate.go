package domain

import (
	"fmt"
	"net/mail"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/nyaruka/phonenumbers"
	"golang.org/x/text/unicode/norm"
)

const (
	maxText  = 255 // characters, of any string
	maxE164  = 16  // characters: a plus and 15 digits (ITU-T E.164, section 6)
	maxEmail = 254 // octets: a path of 256 (RFC 5321, section 4.5.3.1.3) less its angle brackets
)

// member is a string of Details: its JSON Pointer, where it is, and the form that it must have beyond being text.
type member[T any] struct {
	pointer string
	value   T
	form    func(s string, now time.Time) string
}

func (d *Details) required() []member[*string] {
	members := []member[*string]{
		{"/firstName", &d.FirstName, nil},
		{"/lastName", &d.LastName, nil},
		{"/emailAddress", &d.EmailAddress, emailForm},
	}
	if a := d.Address; a != nil {
		members = append(members,
			member[*string]{"/address/line_1", &a.Line1, nil},
			member[*string]{"/address/postcode", &a.Postcode, nil})
	}
	return members
}

func (d *Details) optional() []member[**string] {
	members := []member[**string]{
		{"/title", &d.Title, nil},
		{"/middleName", &d.MiddleName, nil},
		{"/companyName", &d.CompanyName, nil},
		{"/telephoneNumber", &d.TelephoneNumber, telephoneForm},
		{"/altTelephoneNumber", &d.AltTelephoneNumber, telephoneForm},
		{"/pronouns", &d.Pronouns, nil},
		{"/avatarUrl", &d.AvatarURL, urlForm},
		{"/dob", &d.DOB, pastDateForm},
		{"/nationality", &d.Nationality, nil},
		{"/niNumber", &d.NINumber, niNumberForm},
		{"/occupation", &d.Occupation, nil},
	}
	if a := d.Address; a != nil {
		members = append(members,
			member[**string]{"/address/line_2", &a.Line2, nil},
			member[**string]{"/address/line_3", &a.Line3, nil},
			member[**string]{"/address/post_town", &a.PostTown, nil},
			member[**string]{"/address/county", &a.County, nil},
			member[**string]{"/address/uprn", &a.UPRN, uprnForm})
	}
	return members
}

// normalise brings every string into Unicode's NFC without surrounding white space, makes an empty optional one
// unknown, and writes UK postcodes and National Insurance numbers in their canonical form. Doing it twice changes
// nothing.
func (d *Details) normalise() {
	for _, m := range d.required() {
		*m.value = clean(*m.value)
	}
	for _, m := range d.optional() {
		if *m.value == nil {
			continue
		}
		if **m.value = clean(**m.value); **m.value == "" {
			*m.value = nil
		}
	}
	if d.Address != nil {
		d.Address.Postcode = canonicalPostcode(d.Address.Postcode)
	}
	if d.NINumber != nil {
		*d.NINumber = canonicalNINumber(*d.NINumber)
	}
}

func clean(s string) string { return strings.TrimSpace(norm.NFC.String(s)) }

// validate appends the rules that normalised details break to the violations already found, one a member at the most.
func (d *Details) validate(violations []Violation, now time.Time) []Violation {
	found := len(violations)
	add := func(pointer, detail string) {
		known := slices.ContainsFunc(violations[:found], func(v Violation) bool {
			return v.Pointer == pointer || strings.HasPrefix(pointer, v.Pointer+"/")
		})
		if detail != "" && !known {
			violations = append(violations, Violation{Pointer: pointer, Detail: detail})
		}
	}
	for _, m := range d.required() {
		if *m.value == "" {
			add(m.pointer, "is required and must not be blank")
		} else {
			add(m.pointer, breach(*m.value, m.form, now))
		}
	}
	for _, m := range d.optional() {
		if *m.value != nil {
			add(m.pointer, breach(**m.value, m.form, now))
		}
	}
	return violations
}

// breach says which rule the text breaks, "" if none.
func breach(s string, form func(string, time.Time) string, now time.Time) string {
	switch {
	case !utf8.ValidString(s):
		return "must be valid UTF-8"
	case strings.ContainsFunc(s, unicode.IsControl):
		return "must not contain control characters"
	case utf8.RuneCountInString(s) > maxText:
		return fmt.Sprintf("must not be longer than %d characters", maxText)
	case form != nil:
		return form(s, now)
	}
	return ""
}

// emailForm wants one addr-spec (RFC 5322, section 3.4.1): no display name, no comment, no list.
func emailForm(s string, _ time.Time) string {
	if len(s) > maxEmail {
		return fmt.Sprintf("must not be longer than %d octets", maxEmail)
	}
	if a, err := mail.ParseAddress(s); err != nil || a.String() != "<"+s+">" {
		return "must be one e-mail address, such as jsmith@example.com"
	}
	return ""
}

// telephoneForm wants a number in E.164 that its numbering plan has room for. Whether it is allotted is not asked:
// plans grow faster than releases, and a client must not be lost to that.
func telephoneForm(s string, _ time.Time) string {
	const (
		example = "+442079460958"
		want    = "must be a telephone number in E.164 form, such as " + example
	)
	if isPossibleUK(s) {
		return ""
	}
	// The region only helps to read, and so to suggest: a number in national form is never accepted.
	number, err := phonenumbers.Parse(s, "GB")
	if err != nil {
		return want
	}
	e164 := phonenumbers.Format(number, phonenumbers.E164)
	switch {
	case s == e164 && len(s) <= maxE164 && phonenumbers.IsPossibleNumberWithReason(number) == phonenumbers.IS_POSSIBLE:
		return ""
	case s != e164 && e164 != example && phonenumbers.IsValidNumber(number):
		return want + "; did you mean " + e164 + "?"
	default:
		return want
	}
}

// isPossibleUK recognises what most callers send without the regular expressions that reading any number takes. With that
// country code, digits only, and no trunk prefix there is nothing to read.
func isPossibleUK(s string) bool {
	const countryCode = 44
	national, found := strings.CutPrefix(s, "+44")
	if !found || len(s) > maxE164 || strings.HasPrefix(national, "0") {
		return false
	}
	number, err := strconv.ParseUint(national, 10, 64)
	return err == nil && phonenumbers.IsPossibleNumberWithReason(&phonenumbers.PhoneNumber{
		CountryCode: new(int32(countryCode)), NationalNumber: &number,
	}) == phonenumbers.IS_POSSIBLE
}

func urlForm(s string, _ time.Time) string {
	if u, err := url.Parse(s); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return "must be an http or https URL"
	}
	return ""
}

// pastDateForm wants a calendar date of this era before today, in UTC. PostgreSQL has no year 0.
func pastDateForm(s string, now time.Time) string {
	date, err := time.Parse(time.DateOnly, s)
	if err != nil || date.Year() < 1 {
		return "must be a date in the form YYYY-MM-DD"
	}
	if !date.Before(now.UTC().Truncate(24 * time.Hour)) {
		return "must be a date in the past"
	}
	return ""
}

var uprn = regexp.MustCompile(`^[0-9]{1,12}$`)

// uprnForm wants a Unique Property Reference Number: up to 12 digits (GeoPlace).
func uprnForm(s string, _ time.Time) string {
	if !uprn.MatchString(s) {
		return "must be 1 to 12 digits"
	}
	return ""
}

// ukPostcode is a UK postcode without its space: the outward code, then always a digit and two letters.
var ukPostcode = regexp.MustCompile(`^(?:GIR0AA|[A-Z]{1,2}[0-9][0-9A-Z]?[0-9][A-Z]{2})$`)

// canonicalPostcode writes a UK postcode in capitals with one space before its last three characters, and leaves any
// other postcode as it is.
func canonicalPostcode(s string) string {
	compact := compactUpper(s)
	if !ukPostcode.MatchString(compact) {
		return s
	}
	return compact[:len(compact)-3] + " " + compact[len(compact)-3:]
}

// niNumber is a National Insurance number in the letters that HMRC allots: neither of the first two is D, F, I, Q, U or V,
// the second is not O either, and the suffix is A to D (HMRC manual page NIM39110).
var niNumber = regexp.MustCompile(`^[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z][0-9]{6}[A-D]$`)

// unallottedNIPrefixes are never used (NIM39110).
var unallottedNIPrefixes = []string{"BG", "GB", "KN", "NK", "NT", "TN", "ZZ"}

// canonicalNINumber writes a National Insurance number as its nine characters in capitals, the form in which HMRC's APIs
// exchange it and which NIM39110 describes: two letters, six digits, one letter. The spaces of printed numbers are for reading.
func canonicalNINumber(s string) string {
	if compact := compactUpper(s); niNumber.MatchString(compact) {
		return compact
	}
	return s
}

func niNumberForm(s string, _ time.Time) string {
	if !niNumber.MatchString(s) || slices.Contains(unallottedNIPrefixes, s[:2]) {
		return "must be a National Insurance number: a prefix that HMRC uses, six digits, and a letter from A to D"
	}
	return ""
}

// compactUpper drops the spaces and raises the letters of ASCII; Unicode's upper case would make an S of U+017F.
func compactUpper(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return -1
		case 'a' <= r && r <= 'z':
			return r - 'a' + 'A'
		}
		return r
	}, s)
}
