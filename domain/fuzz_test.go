package domain_test

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"clientele/domain"
)

// FuzzParse checks the contract of Parse for any bytes. It returns an *Error with an offset or with violations, or details in valid
// UTF-8, without control characters, that do not change when parsed again.
func FuzzParse(f *testing.F) {
	f.Add(testdata(f, "full.request.json"))
	f.Add(testdata(f, "full.command.json"))
	f.Add(testdata(f, "full.record.json"))
	f.Add(testdata(f, "minimal.request.json"))
	for _, body := range []string{
		``, `null`, `{}`, `[{}]`, `{"a":{"~/":[1e999,null,true]}}`, `{"dob":1,"dob":2}`, "\ufeff{}", `{} {}`,
		`{"firstName":"\ud83d\ude00","lastName":"\ud83d"}`, "{\"firstName\":\"\xff\"}", `{"firstName":"\u0000"}`,
		minimal(`"emailAddress":"a@b.c"`), minimal(`"telephoneNumber":"020 7946 0958 ext. 5"`),
		minimal(`"title":"e\u0301\u0323\u1100\u1161\u11a8\u017f\u212a"`),
		minimal(`"title":"` + strings.Repeat(`\u0301`, 40) + `"`),
		minimal(`"niNumber":"a\u017f123456c","dob":"0001-01-01","avatarUrl":"http://[::1]:80/%41"`),
		minimal(`"communicationPreferences":{"sms":true,"fax":1},"address":{"line_1":"\u3000","postcode":"gir0aa"}`),
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		d, err := domain.Parse(body, today)
		if err != nil {
			e, ok := errors.AsType[*domain.Error](err)
			switch {
			case !ok:
				t.Fatalf("%T: %v", err, err)
			case e.Code == domain.CodeMalformed && e.Err != nil && 0 <= e.Offset && e.Offset <= int64(len(body)):
			case e.Code == domain.CodeInvalid && len(e.Violations) > 0:
			default:
				t.Fatalf("%+v", *e)
			}
			return
		}
		canonical, err := d.Canonical()
		if err != nil {
			t.Fatal(err)
		}
		if !utf8.Valid(canonical) {
			t.Errorf("not UTF-8: %q", canonical)
		}
		for _, s := range texts(t, canonical) {
			if strings.ContainsFunc(s, unicode.IsControl) || s != strings.TrimSpace(s) || utf8.RuneCountInString(s) > 255 {
				t.Errorf("kept %q", s)
			}
		}
		again, err := domain.Parse(canonical, today)
		if err != nil || !reflect.DeepEqual(again, d) {
			t.Fatalf("%v: read again\n got %+v\nwant %+v", err, again, d)
		}
		if stable, err := again.Canonical(); err != nil || !bytes.Equal(stable, canonical) {
			t.Errorf("%v: written again\n got %s\nwant %s", err, stable, canonical)
		}
	})
}

// texts returns the strings in a JSON text.
func texts(t *testing.T, body []byte) (all []string) {
	t.Helper()
	for dec := jsontext.NewDecoder(bytes.NewReader(body)); ; {
		token, err := dec.ReadToken()
		if errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		if token.Kind() == '"' {
			all = append(all, token.String())
		}
	}
}
