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
	maxEmail = 254 // octets: a path of 256 (RFC 5321, section 4.5.3.1.3) without its angle brackets
)

// member is a string of Details: its JSON Pointer, its location, and the check of its form, or nil. form returns the violated rule, or "".
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

// normalise converts every string to Unicode's Normalization Form C (UAX #15) and trims its white space. An empty optional
// string becomes nil. UK postcodes and National Insurance numbers get their canonical form. normalise is idempotent.
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

// validate appends the rules that normalised details violate to the violations already found, at most one for each member.
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

// breach returns the rule that the text violates, or "".
func breach(s string, form func(string, time.Time) string, now time.Time) string {
	switch {
	case !utf8.ValidString(s):
		return "must be valid UTF-8"
	case strings.ContainsFunc(s, unicode.IsControl):
		return "must not contain control characters"
	case utf8.RuneCountInString(s) > maxText:
		return fmt.Sprintf("must not be longer than %d characters", maxText)
	case !strings.ContainsFunc(s, visible):
		return "must contain a visible character"
	case form != nil:
		return form(s, now)
	}
	return ""
}

// visible reports whether a character is visible alone. Spaces, joiners, marks, fillers and characters that change the direction of
// text are not. They belong in names, but beside visible characters.
func visible(r rune) bool {
	const brailleBlank = '\u2800' // a symbol without dots
	return r != brailleBlank &&
		!unicode.In(r, unicode.Cc, unicode.Cf, unicode.Z, unicode.Mn, unicode.Other_Default_Ignorable_Code_Point)
}

// emailForm accepts one addr-spec (RFC 5322, section 3.4.1): no display name, no comment, no list.
func emailForm(s string, _ time.Time) string {
	if len(s) > maxEmail {
		return fmt.Sprintf("must not be longer than %d octets", maxEmail)
	}
	if a, err := mail.ParseAddress(s); err != nil || a.String() != "<"+s+">" {
		return "must be one e-mail address, such as jsmith@example.com"
	}
	return ""
}

// telephoneForm accepts a number in E.164 with a length that its numbering plan allows. It does not check that the number is
// allotted: plans change more often than Clientele is released, and a valid number must not be refused.
func telephoneForm(s string, _ time.Time) string {
	const (
		example = "+442079460958"
		want    = "must be a telephone number in E.164 format, such as " + example
	)
	if isPossibleUK(s) {
		return ""
	}
	// The region lets Parse read a national number, to suggest its E.164 form. A national number is never accepted.
	number, err := phonenumbers.Parse(s, "GB")
	if err != nil {
		return want
	}
	e164 := phonenumbers.Format(number, phonenumbers.E164)
	switch {
	case s == e164 && len(s) <= maxE164 && phonenumbers.IsPossibleNumberWithReason(number) == phonenumbers.IS_POSSIBLE:
		return ""
	case s != e164 && e164 != example && phonenumbers.IsValidNumber(number):
		return want + suggestion + e164 + "?"
	default:
		return want
	}
}

// isPossibleUK reports whether s is a possible UK number in E.164. For most callers, it avoids the regular expressions that others require.
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

// urlForm accepts an absolute http or https URL (RFC 3986).
func urlForm(s string, _ time.Time) string {
	if u, err := url.Parse(s); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return "must be an http or https URL"
	}
	return ""
}

// pastDateForm accepts a calendar date before today in UTC, from year 1: PostgreSQL has no year 0.
func pastDateForm(s string, now time.Time) string {
	date, err := time.Parse(time.DateOnly, s)
	if err != nil || date.Year() < 1 {
		return "must be a date that exists, in the format YYYY-MM-DD"
	}
	if !date.Before(now.UTC().Truncate(24 * time.Hour)) {
		return "must be a date in the past"
	}
	return ""
}

var uprn = regexp.MustCompile(`^[0-9]{1,12}$`)

// uprnForm accepts a Unique Property Reference Number: 1 to 12 digits (GeoPlace).
func uprnForm(s string, _ time.Time) string {
	if !uprn.MatchString(s) {
		return "must be 1 to 12 digits"
	}
	return ""
}

// ukPostcode is a UK postcode without its space: the outward code, then always a digit and two letters.
var ukPostcode = regexp.MustCompile(`^(?:GIR0AA|[A-Z]{1,2}[0-9][0-9A-Z]?[0-9][A-Z]{2})$`)

// canonicalPostcode returns a UK postcode in capitals with one space before its last three characters, and any other one unchanged.
func canonicalPostcode(s string) string {
	compact := compactUpper(s)
	if !ukPostcode.MatchString(compact) {
		return s
	}
	return compact[:len(compact)-3] + " " + compact[len(compact)-3:]
}

// niNumber is the format of a National Insurance number: two letters, six digits and a suffix from A to D. Neither of the first
// two letters is D, F, I, Q, U or V, and the second is not O (HMRC manual page NIM39110).
var niNumber = regexp.MustCompile(`^[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z][0-9]{6}[A-D]$`)

// unallottedNIPrefixes are prefixes that HMRC does not allot (NIM39110).
var unallottedNIPrefixes = []string{"BG", "GB", "KN", "NK", "NT", "TN", "ZZ"}

// canonicalNINumber returns a National Insurance number as nine characters in capitals, without the spaces of printed numbers:
// the format of NIM39110, which HMRC's APIs use. It returns any other text unchanged.
func canonicalNINumber(s string) string {
	if compact := compactUpper(s); niNumber.MatchString(compact) {
		return compact
	}
	return s
}

// niNumberForm accepts a National Insurance number in canonical form with a prefix that HMRC allots.
func niNumberForm(s string, _ time.Time) string {
	if !niNumber.MatchString(s) || slices.Contains(unallottedNIPrefixes, s[:2]) {
		return "must be a National Insurance number: a prefix that HMRC uses, six digits, and a letter from A to D"
	}
	return ""
}

// compactUpper removes spaces and converts ASCII letters to upper case. strings.ToUpper would convert U+017F to S.
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
