package domain_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"clientele/domain"
)

// at returns the string of the details at a JSON Pointer, or nil.
func at(t tb, d domain.Details, pointer string) *string {
	t.Helper()
	canonical, err := d.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	var value any
	if err := json.Unmarshal(canonical, &value); err != nil {
		t.Fatal(err)
	}
	for name := range strings.SplitSeq(pointer[1:], "/") {
		value = value.(map[string]any)[name]
	}
	if s, ok := value.(string); ok {
		return &s
	}
	return nil
}

// accepted checks that a member accepts each key of the map and then has the value of the map.
func accepted(t *testing.T, pointer string, values map[string]string) {
	t.Helper()
	for value, want := range values {
		d, err := domain.Parse([]byte(with(pointer, quote(t, value))), today)
		if err != nil {
			t.Errorf("%s: %q: %v", pointer, value, err)
		} else if got := at(t, d, pointer); got == nil || *got != want {
			t.Errorf("%s: %q became %s, want %q", pointer, value, quote(t, got), want)
		}
	}
}

// unchanged returns the argument of accepted for values that are not normalised.
func unchanged(values ...string) map[string]string {
	m := map[string]string{}
	for _, value := range values {
		m[value] = value
	}
	return m
}

// refused checks that a member refuses each value with this detail.
func refused(t *testing.T, pointer, detail string, values ...string) {
	t.Helper()
	want := []domain.Violation{{Pointer: pointer, Detail: detail}}
	for _, value := range values {
		d, err := domain.Parse([]byte(with(pointer, quote(t, value))), today)
		if e, ok := errors.AsType[*domain.Error](err); !ok {
			t.Errorf("%s: %q was accepted as %s", pointer, value, quote(t, at(t, d, pointer)))
		} else if !slices.Equal(e.Violations, want) {
			t.Errorf("%s: %q: got %v, want %v", pointer, value, e.Violations, want)
		}
	}
}

func quote(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestText(t *testing.T) {
	for pointer, required := range pointers {
		refused(t, pointer, "must not contain control characters",
			"a\x00b", "a\nb", "a\tb", "a\x1bb", "a\x7fb", "a\u0080b", "a\u0085b", "a\u009fb")
		refused(t, pointer, "must not be longer than 255 characters", strings.Repeat("a", 256), strings.Repeat("é", 256))
		refused(t, pointer, "must contain a visible character",
			"\u200b", "\u200d\u200c", "\u202e", "\u2066 \u2069", "\ufeff", "\u00ad", "\u2060\u2028\u2060", "\u3164", "\u2800", "\u0301", "\U000e0041")
		blank := []string{"", " ", "\t\r\n", "\u00a0\u2003\u3000"}
		if required {
			refused(t, pointer, "is required and must not be blank", blank...)
			continue
		}
		for _, value := range blank {
			if got := at(t, parse(t, []byte(with(pointer, quote(t, value)))), pointer); got != nil {
				t.Errorf("%s: %q became %q, want null", pointer, value, *got)
			}
		}
	}
	accepted(t, "/lastName", unchanged(
		strings.Repeat("a", 255), strings.Repeat("é", 255), strings.Repeat("😀", 255),
		"O’Brien-Ngũgĩ", "ﬁ½", "李", "محمد", "a  b", `<b>"&'\</b>`, "\ufffd",
		"میرا\u200cنام", "ක්\u200dෂ", "👩\u200d👧", "\u202bمحمد\u202c", "❤\ufe0f", "\U000323af"))
	accepted(t, "/lastName", map[string]string{
		" \t\r\nKing\u00a0\u3000\u0085": "King", //nolint:gocritic // white space is what this is about
		"Zoe\u0308":                     "Zoë",
		"\u1112\u1161\u11ab":            "한",
		"\u212b":                        "Å",
		strings.Repeat("e\u0301", 255):  strings.Repeat("é", 255), // 510 characters before NFC
	})
}

func TestEmailAddress(t *testing.T) {
	const pointer = "/emailAddress"
	domain63 := "@" + strings.Repeat(strings.Repeat("d", 61)+".", 3) + "example" // 194 octets
	accepted(t, pointer, unchanged("a@b.c", "ada+clients@example.co.uk", "o'brien@example.com", "ada@localhost",
		"ada@[192.0.2.1]", "jörg@exämple.de", `"ada king"@example.com`, `"a\"b"@example.com`, `"a@b"@example.com`,
		strings.Repeat("l", 60)+domain63))
	accepted(t, pointer, map[string]string{" Ada@Example.com\n": "Ada@Example.com"})
	refused(t, pointer, "must not be longer than 254 octets",
		strings.Repeat("l", 61)+domain63, strings.Repeat("é", 120)+"@example.example")
	refused(t, pointer, "must be one e-mail address, such as jsmith@example.com",
		"ada", "@example.com", "ada@", "ada@@example.com", "ada king@example.com", "ada@exam ple.com",
		"Ada <ada@example.com>", "<ada@example.com>", "ada@example.com (Ada)", "(Ada) ada@example.com",
		"ada@example.com, al@example.com", "ada@example.com;", "us: ada@example.com;", "mailto:ada@example.com",
		".ada@example.com", "ada.@example.com", "a..da@example.com", "ada@example..com", "ada@example.com.",
		`""@example.com`, `"ada@example.com`)
}

func TestTelephoneNumbers(t *testing.T) {
	const want = "must be a telephone number in E.164 format, such as +442079460958"
	for _, pointer := range []string{"/telephoneNumber", "/altTelephoneNumber"} {
		accepted(t, pointer, unchanged("+442079460958", "+447700900123", "+12025550123", "+33123456789", "+390612345678",
			"+2901234", "+80012345678"))
		accepted(t, pointer, map[string]string{" +442079460958 ": "+442079460958"})
		refused(t, pointer, want+"; did you mean +442079460123?",
			"020 7946 0123", "+44 20 7946 0123", "+44 (0)20 7946-0123", "00442079460123", "+4402079460123",
			"tel:+442079460123", "+442079460123 ext. 5", "＋４４２０７９４６０１２３")
		refused(t, pointer, want, "020 7946 0958") // the example would be suggested
		refused(t, pointer, want, "+", "none", "+44", "+44999", "112", "12345", "07700 90012", "+999123456789",
			"+4479460958", "+15551234", // without their area codes
			"+4420794609581234", "+442079460958+442079460958", "+4915123456789012") // the last has 16 digits
	}
}

func TestUPRN(t *testing.T) {
	accepted(t, "/address/uprn", unchanged("1", "100023336956", "000000000001"))
	accepted(t, "/address/uprn", map[string]string{" 100023336956 ": "100023336956"})
	refused(t, "/address/uprn", "must be 1 to 12 digits",
		"1000233369567", "-1", "1.0", "1 2", "0x1", "uprn", "１２３", "1\u0300")
}

func TestDOB(t *testing.T) {
	accepted(t, "/dob", unchanged("0001-01-01", "1900-02-28", "2000-02-29", "2024-02-29", "2026-02-28"))
	refused(t, "/dob", "must be a date in the past", "2026-03-01", "2026-03-02", "9999-12-31")
	refused(t, "/dob", "must be a date that exists, in the format YYYY-MM-DD", "0000-01-01", "1900-02-29", "2023-02-29", "2024-02-30",
		"1990-13-01", "1990-00-01", "1990-01-00", "1990/12/10", "1990.12.10", "10-12-1990", "10/12/1990", "1990-1-1",
		"19901210", "-1990-12-10", "+1990-12-10", "11990-12-10", "1990-12-10T00:00:00Z", "1990 12 10", "yesterday")
}

// TestNINumber follows HMRC's manual page NIM39110.
func TestNINumber(t *testing.T) {
	accepted(t, "/niNumber", map[string]string{
		"AB 12 34 56 C":         "AB123456C",
		"AB123456C":             "AB123456C",
		"ab 123 456 c":          "AB123456C",
		"  a b 1 2 3 4 5 6 c  ": "AB123456C",
	})
	const want = "must be a National Insurance number: a prefix that HMRC uses, six digits, and a letter from A to D"
	unallotted := []string{"BG", "GB", "KN", "NK", "NT", "TN", "ZZ"}
	for first := 'A'; first <= 'Z'; first++ {
		for second := 'A'; second <= 'Z'; second++ {
			prefix := string(first) + string(second)
			if strings.ContainsRune("DFIQUV", first) || strings.ContainsRune("DFIQUVO", second) ||
				slices.Contains(unallotted, prefix) {
				refused(t, "/niNumber", want, prefix+"123456A", strings.ToLower(prefix)+" 12 34 56 a")
			} else {
				accepted(t, "/niNumber", map[string]string{prefix + "123456A": prefix + "123456A"})
			}
		}
	}
	for suffix := 'A'; suffix <= 'Z'; suffix++ {
		value := fmt.Sprintf("AB123456%c", suffix)
		if suffix <= 'D' {
			accepted(t, "/niNumber", unchanged(value))
		} else {
			refused(t, "/niNumber", want, value)
		}
	}
	refused(t, "/niNumber", want, "AB123456", "AB 12 34 56", "AB12345C", "AB1234567C", "A1123456C", "ABC123456C",
		"AB-12-34-56-C", "AB12345６C", "A\u017f123456C", "none")
}

func TestPostcode(t *testing.T) {
	accepted(t, "/address/postcode", map[string]string{
		// The six formats of UK postcodes, the special GIR 0AA, and that of Gibraltar.
		"m11ae": "M1 1AE", "B338TH": "B33 8TH", "cr2 6xh": "CR2 6XH", "DN551PT": "DN55 1PT", "w1a0ax": "W1A 0AX",
		"ec1a1bb": "EC1A 1BB", "gir0aa": "GIR 0AA", "GIR 0AA": "GIR 0AA", "gx111aa": "GX11 1AA",
		"  s w1y  4 jh ": "SW1Y 4JH", "SW1Y    4JH": "SW1Y 4JH",
	})
	accepted(t, "/address/postcode", unchanged("K1A 0B1", "k1a0b1", "1234 AB", "1234 ab", "1017ab", "12345",
		"12345-6789", "D02 X285", "d6w xy00", "75008", "FIQQ 1ZZ", "BFPO 61", "C1425CLA", "KY1-1001",
		"150-0001", "sw1y 4j", "sw1y 44h", "swi 4jh", "\u017fw1y 4jh"))
}

func TestAvatarURL(t *testing.T) {
	accepted(t, "/avatarUrl", unchanged("http://example.com", "https://example.com/a.png?size=64#x", "HTTPS://EXAMPLE.COM/",
		"http://localhost:8080/a", "http://[2001:db8::1]/a", "https://exämple.de/ä"))
	refused(t, "/avatarUrl", "must be an http or https URL", "example.com/a.png", "/a.png", "//example.com/a.png",
		"http:", "http://", "http:///a.png", "http://:80/a.png", "https:example.com", "ftp://example.com/a.png",
		"javascript:alert(1)", "data:image/png;base64,AA==", "file:///a.png", "http://exa mple.com", "http://[::1",
		"http://example.com/%zz")
}

// An omitted channel is false. Missing preferences differ from preferences that are all false.
func TestCommunicationPreferences(t *testing.T) {
	if d := parse(t, []byte(minimal(`"title": "Ms"`))); d.CommunicationPreferences != nil {
		t.Errorf("not given, became %+v", d.CommunicationPreferences)
	}
	for body, want := range map[string]domain.CommunicationPreferences{
		`{}`:                                {},
		`{"email": false}`:                  {},
		`{"email": true}`:                   {Email: true},
		`{"phone": true, "sms": false}`:     {Phone: true},
		`{"post": true, "sms": true}`:       {SMS: true, Post: true},
		`{"sms": true, "\u0070hone": true}`: {Phone: true, SMS: true},
	} {
		d := parse(t, []byte(minimal(`"communicationPreferences": `+body)))
		if got := d.CommunicationPreferences; got == nil || *got != want {
			t.Errorf("%s became %+v, want %+v", body, got, want)
		}
	}
}
