package domain_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"clientele/domain"
)

func TestParseMalformed(t *testing.T) {
	const tooEarly = "the JSON ends too early"
	tests := []struct {
		name    string
		body    string
		offset  int64
		pointer string
		detail  string
	}{
		{"empty", "", 0, "", tooEarly},
		{"blank", " \n", 2, "", tooEarly},
		{"truncated object", `{`, 1, "", tooEarly},
		{"truncated name", `{"firstN`, 8, "", tooEarly},
		{"truncated after name", `{"firstName" `, 13, "/firstName", tooEarly},
		{"truncated after colon", `{"firstName":`, 13, "/firstName", tooEarly},
		{"truncated string", `{"firstName":"Ad`, 16, "/firstName", tooEarly},
		{"truncated escape", `{"firstName":"\u00`, 18, "/firstName", tooEarly},
		{"truncated after comma", `{"firstName":"Ada",`, 19, "", tooEarly},
		{"truncated inside address", `{"address":{"line_1":"1"`, 24, "/address", tooEarly},
		{"garbage", `firstName=Ada`, 1, "", "invalid character 'i' in literal false (expecting 'a')"},
		{"NaN", `{"dob":NaN}`, 7, "/dob", "invalid character 'N' at start of value"},
		{"comment", `{/* Ada */}`, 1, "", "invalid character '/' at start of value"},
		{"byte order mark", "\ufeff{}", 0, "", `invalid character '\ufeff' at start of value`},
		{"single quotes", `{'dob':1}`, 1, "", `invalid character '\'' at start of value`},
		{"name not a string", `{1:2}`, 1, "", "object member name must be a string"},
		{"no colon", `{"dob" 1}`, 7, "/dob", "invalid character '1' after object name (expecting ':')"},
		{"no comma", `{"dob":1 "x":2}`, 9, "", `invalid character '"' after object value (expecting ',' or '}')`},
		{"trailing comma", `{"dob":"",}`, 9, "", "invalid character ',' at start of value"},
		{"leading zero", `{"dob":01}`, 8, "", "invalid character '1' after object value (expecting ',' or '}')"},
		{
			"raw newline", "{\"dob\":\"a\nb\"}", 9, "/dob",
			`invalid character '\n' in string (expecting non-control character)`,
		},
		{"unknown escape", `{"dob":"ab\qcd"}`, 10, "/dob", "invalid escape sequence in string"},
		{"too deep", strings.Repeat("[", 10_001), 10_000, strings.Repeat("/0", 126) + "/…", "exceeded max depth"},

		{"trailing object", `{} {}`, 3, "", "data after the JSON value"},
		{"trailing comma after it", `{},`, 2, "", "data after the JSON value"},
		{"trailing garbage", "{}\r\n\tx", 5, "", "data after the JSON value"},
		{"trailing NUL", "{}\x00", 2, "", "data after the JSON value"},
		{"trailing data after null", `null null`, 5, "", "data after the JSON value"},

		{"repeated member", `{"dob":null,"dob":null}`, 12, "/dob", "duplicate object member name"},
		{"repeated, escaped", `{"dob":null,"\u0064ob":null}`, 12, "/dob", "duplicate object member name"},
		{
			"repeated nested", `{"address":{"county":"a","county":"b"}}`, 25, "/address/county",
			"duplicate object member name",
		},
		{"repeated unknown", `{"a":{"b":[{"~/":1,"~/":1}]}}`, 19, "/a/b/0/~0~1", "duplicate object member name"},

		{"invalid UTF-8", "{\"firstName\":\"Ad\xff\"}", 16, "/firstName", "invalid UTF-8"},
		{"invalid UTF-8 in a name", "{\"\xc3\":1}", 2, "", "invalid UTF-8"},
		{"UTF-8 of a surrogate", "{\"dob\":\"\xed\xa0\x80\"}", 8, "/dob", "invalid UTF-8"},
		{"overlong UTF-8", "{\"dob\":\"\xc0\x80\"}", 8, "/dob", "invalid UTF-8"},
		{"lone high surrogate", `{"dob":"\ud83d!"}`, 8, "/dob", "invalid surrogate pair in string"},
		{"lone low surrogate", `{"dob":"\ude00"}`, 8, "/dob", "invalid surrogate pair in string"},
		{"two high surrogates", `{"dob":"\ud83d\ud83d"}`, 8, "/dob", "invalid surrogate pair in string"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := refuse(t, tt.body)
			if e.Code != domain.CodeMalformed || e.Offset != tt.offset || e.Pointer != tt.pointer || e.Error() != tt.detail {
				t.Errorf("got %s at %d in %q: %s\nwant %s at %d in %q: %s", e.Code, e.Offset, e.Pointer, e,
					domain.CodeMalformed, tt.offset, tt.pointer, tt.detail)
			}
		})
	}
}

func TestParseInvalid(t *testing.T) {
	const (
		object   = "must be an object"
		text     = "must be a string"
		nullable = "must be a string or null"
		boolean  = "must be true or false"
		unknown  = "is an unknown member"
		required = "is required and must not be blank"
	)
	type violations = []domain.Violation
	tests := []struct {
		name string
		body string
		want violations
	}{
		{"null", `null`, violations{{"", object}}},
		{"array", `[{}]`, violations{{"", object}}},
		{"string", `"Ada"`, violations{{"", object}}},
		{"nothing given", `{}`, violations{
			{"/firstName", required}, {"/lastName", required}, {"/emailAddress", required},
		}},
		{"blank", `{"firstName": "", "lastName": " \t\r\n\u2003", "emailAddress": " "}`, violations{
			{"/firstName", required}, {"/lastName", required}, {"/emailAddress", required},
		}},
		{"null for required", `{"firstName": null, "lastName": null, "emailAddress": null}`, violations{
			{"/firstName", text}, {"/lastName", text}, {"/emailAddress", text},
		}},
		{"other cases of the names", `{"FirstName": "a", "lastname": "b", "emailaddress": "c"}`, violations{
			{"/FirstName", unknown},
			{"/lastname", unknown},
			{"/emailaddress", unknown},
			{"/firstName", required},
			{"/lastName", required},
			{"/emailAddress", required},
		}},
		{"ours, not the caller's", minimal(`"id": "x", "status": "Active"`), violations{
			{"/id", unknown}, {"/status", unknown},
		}},
		{"unknown", minimal(`"": 1, "~": {"a": [1e999]}, "a/b~1": "", "a b\u0000": null`), violations{
			{"/", unknown}, {"/~0", unknown}, {"/a~1b~01", unknown}, {"/a b\x00", unknown},
		}},
		{"unknown, nested", minimal(`"address": {"line_1": "1", "postcode": "1", "~/": 1}`), violations{
			{"/address/~0~1", unknown},
		}},
		{"unknown preference", minimal(`"communicationPreferences": {"fax": true}`), violations{
			{"/communicationPreferences/fax", unknown},
		}},
		{"objects that are none", minimal(`"address": ["SW1Y 4JH"], "communicationPreferences": true`), violations{
			{"/address", object}, {"/communicationPreferences", object},
		}},
		{"empty address", minimal(`"address": {}`), violations{
			{"/address/line_1", required}, {"/address/postcode", required},
		}},
		{"null in address", minimal(`"address": {"line_1": null, "postcode": null, "line_2": 2}`), violations{
			{"/address/line_1", text}, {"/address/postcode", text}, {"/address/line_2", nullable},
		}},
		{
			"preferences", minimal(`"communicationPreferences": {"email": null, "phone": "true", "sms": 1, "post": {}}`),
			violations{
				{"/communicationPreferences/email", boolean},
				{"/communicationPreferences/phone", boolean},
				{"/communicationPreferences/sms", boolean},
				{"/communicationPreferences/post", boolean},
			},
		},
		{
			"wrong kinds", `{"firstName": 1, "lastName": [], "emailAddress": {"a": 1}, "title": true, "dob": 19901210}`,
			violations{
				{"/firstName", text}, {"/lastName", text}, {"/emailAddress", text}, {"/title", nullable}, {"/dob", nullable},
			},
		},
		{"everything at once", `{"firstName": "A\u0000", "lastName": 1, "nickname": "x", "dob": "3000-01-01",
			"address": {"line_1": " ", "zip": 1, "uprn": "x", "postcode": "1"}}`, violations{
			{"/lastName", text},
			{"/nickname", unknown},
			{"/address/zip", unknown},
			{"/firstName", "must not contain control characters"},
			{"/emailAddress", required},
			{"/address/line_1", required},
			{"/dob", "must be a date in the past"},
			{"/address/uprn", "must be 1 to 12 digits"},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := refuse(t, tt.body)
			if e.Code != domain.CodeInvalid || !slices.Equal(e.Violations, tt.want) {
				t.Errorf("%s\n got %v\nwant %v", e.Code, e.Violations, tt.want)
			}
		})
	}
}

// minimal returns a body with the required members and the given ones.
func minimal(members string) string {
	return `{"firstName": "Ada", "lastName": "King", "emailAddress": "ada@example.com", ` + members + `}`
}

// pointers are all strings of the API, and whether each is required.
var pointers = map[string]bool{
	"/firstName": true, "/lastName": true, "/emailAddress": true, "/title": false, "/middleName": false,
	"/companyName": false, "/telephoneNumber": false, "/altTelephoneNumber": false, "/pronouns": false,
	"/avatarUrl": false, "/dob": false, "/nationality": false, "/niNumber": false, "/occupation": false,
	"/address/line_1": true, "/address/line_2": false, "/address/line_3": false, "/address/post_town": false,
	"/address/county": false, "/address/postcode": true, "/address/uprn": false,
}

// with returns a valid body in which the member has the given JSON value.
func with(pointer, value string) string {
	values := map[string]string{
		"/firstName": `"Ada"`, "/lastName": `"King"`, "/emailAddress": `"ada@example.com"`,
		"/address/line_1": `"1 High Street"`, "/address/postcode": `"SW1Y 4JH"`,
	}
	values[pointer] = value
	var members, address []string
	for pointer, value := range values {
		if name, ok := strings.CutPrefix(pointer, "/address/"); ok {
			address = append(address, fmt.Sprintf("%q: %s", name, value))
		} else {
			members = append(members, fmt.Sprintf("%q: %s", pointer[1:], value))
		}
	}
	members = append(members, `"address": {`+strings.Join(address, ", ")+`}`)
	return "{" + strings.Join(members, ", ") + "}"
}

func TestParseNull(t *testing.T) {
	for pointer, required := range pointers {
		body := with(pointer, "null")
		if required {
			e := refuse(t, body)
			if want := []domain.Violation{{Pointer: pointer, Detail: "must be a string"}}; !slices.Equal(e.Violations, want) {
				t.Errorf("%s: null: got %v, want %v", pointer, e.Violations, want)
			}
		} else if got := at(t, parse(t, []byte(body)), pointer); got != nil {
			t.Errorf("%s: null became %q", pointer, *got)
		}
	}
	d := parse(t, []byte(minimal(`"address": null, "communicationPreferences": null`)))
	if d.Address != nil || d.CommunicationPreferences != nil {
		t.Errorf("null became %+v and %+v", d.Address, d.CommunicationPreferences)
	}
}

// A caller chooses the names of unknown members. Pointers to them are bounded, at the end of a character and of an escape.
func TestPointersAreBounded(t *testing.T) {
	for _, tt := range []struct{ name, pointer string }{
		{strings.Repeat("a", 255), "/" + strings.Repeat("a", 255)},
		{strings.Repeat("a", 256), "/" + strings.Repeat("a", 252) + "…"},
		{strings.Repeat("a", 60_000), "/" + strings.Repeat("a", 252) + "…"},
		{strings.Repeat("é", 30_000), "/" + strings.Repeat("é", 126) + "…"},
		{strings.Repeat("🙂", 1_000), "/" + strings.Repeat("🙂", 63) + "…"},
		{"a" + strings.Repeat("~", 1_000), "/a" + strings.Repeat("~0", 125) + "…"},
		{strings.Repeat("/", 1_000), "/" + strings.Repeat("~1", 126) + "…"},
	} {
		quoted := fmt.Sprintf("%q", tt.name)
		if e := refuse(t, minimal(quoted+": 1")); !slices.Equal(e.Violations, []domain.Violation{{Pointer: tt.pointer, Detail: "is an unknown member"}}) {
			t.Errorf("%.20s: %.2000s, want %s", tt.name, e, tt.pointer)
		}
		e := refuse(t, "{"+quoted+": 1, "+quoted+": 1}")
		if e.Code != domain.CodeMalformed || e.Pointer != tt.pointer || e.Error() != "duplicate object member name" {
			t.Errorf("repeated %.20s: %.300s in %.300s, want %s", tt.name, e, e.Pointer, tt.pointer)
		}
		_, err := domain.ParseLine([]byte(`{"client": `+minimal(quoted+": 1")+"}"), today)
		ofLine, ok := errors.AsType[*domain.Error](err)
		if !ok || len(ofLine.Violations) != 1 || len(ofLine.Violations[0].Pointer) > 256 || !strings.HasPrefix(ofLine.Violations[0].Pointer, tt.pointer[:200]) {
			t.Errorf("in a line: %.2000s, want %s", err, tt.pointer)
		}
	}
}

// An error does not quote the invalid value.
func TestParseRepeatsNoValue(t *testing.T) {
	const mark = "Xq7"
	values := map[string]string{
		"wrong form":        `"Xq7@Xq7@Xq7"`,
		"too long":          `"` + strings.Repeat(mark, 100) + `"`,
		"control character": `"Xq7\u0000Xq7"`,
		"wrong kind":        `{"Xq7": ["Xq7"]}`,
		"no JSON":           `Xq7`,
		"literal":           `trXq7`,
		"number":            `1.Xq7`,
		"raw newline":       "\"Xq7\nXq7\"",
		"invalid UTF-8":     "\"Xq7\xffXq7\"",
		"surrogate":         `"Xq7\ud800Xq7Xq7"`,
		"surrogate, spaced": `"Xq7\ud800 Xq7 Xq7"`,
		"unknown escape":    `"Xq7\XXq7"`,
		"short escape":      `"Xq7\uXq7Xq7"`,
		"repeated nested":   `{"a": "Xq7", "a": "Xq7"}`,
		"no comma":          `"Xq7" Xq7`,
		"no end":            `"Xq7`,
		"surplus":           `"Xq7"}Xq7`,
	}
	for name, value := range values {
		t.Run(name, func(t *testing.T) {
			for pointer := range pointers {
				_, err := domain.Parse([]byte(with(pointer, value)), today)
				refusal, refused := errors.AsType[*domain.Error](err)
				if !refused {
					continue // where any text will do
				}
				if all := fmt.Sprintf("%+v", *refusal); strings.Contains(all, mark) {
					t.Errorf("%s: %s", pointer, all)
				}
			}
		})
	}
	for pointer, value := range map[string]string{
		"/dob": "2999-Xq7", "/niNumber": "QQ Xq7", "/avatarUrl": "ftp://Xq7", "/telephoneNumber": "+44 Xq7",
		"/emailAddress": "Xq7 <Xq7@example.com>", "/address/uprn": "1Xq7",
	} {
		if e := refuse(t, with(pointer, `"`+value+`"`)); strings.Contains(e.Error(), mark) {
			t.Errorf("%s: %s", pointer, e)
		}
	}
}

func TestParseLeavesItsInputAlone(t *testing.T) {
	body := testdata(t, "full.request.json")
	before := string(body)
	d := parse(t, body)
	if string(body) != before {
		t.Error("Parse wrote to its input")
	}
	clear(body)
	if d.FirstName != "Ada" || *d.Occupation != "Analyst & programmer" {
		t.Errorf("the details change with the input: %+v", d)
	}
}
