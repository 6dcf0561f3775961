package domain_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"clientele/domain"

	"github.com/go-json-experiment/json/jsontext"
)

func TestParseLine(t *testing.T) {
	const jane = `{"firstName": "Jane", "lastName": "Smith", "emailAddress": "jane@example.com"}`
	want, err := domain.Parse([]byte(jane), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{`{"client": ` + jane + `}`, ` {"client":` + jane + `, "idempotencyKey": "k\u0031"}` + "\r"} {
		line, err := domain.ParseLine([]byte(text), time.Now())
		if err != nil || !reflect.DeepEqual(line.Details, want) || line.Size != len(jane) {
			t.Errorf("%s: %+v, %v", text, line, err)
		}
		if keyed := strings.Contains(text, "idempotencyKey"); (line.Key != nil) != keyed || keyed && *line.Key != "k1" {
			t.Errorf("%s: key %v", text, line.Key)
		}
	}
	for _, c := range []struct {
		text   string
		code   domain.Code
		offset int64
		want   []domain.Violation
	}{
		{``, domain.CodeMalformed, 0, nil},
		{`{"client": ` + jane + `} x`, domain.CodeMalformed, int64(len(jane)) + 13, nil},
		{`{"client": {"firstName": nope}}`, domain.CodeMalformed, 26, nil},
		{`{"client": ` + jane + `, "client": ` + jane + `}`, domain.CodeMalformed, int64(len(jane)) + 13, nil},
		{`[]`, domain.CodeInvalid, 0, []domain.Violation{{Detail: "must be an object"}}},
		{`{}`, domain.CodeInvalid, 0, []domain.Violation{{Pointer: "/client", Detail: "is required"}}},
		{jane, domain.CodeInvalid, 0, []domain.Violation{
			{Pointer: "/firstName", Detail: "is not a member of a line, which has an idempotencyKey and a client"},
			{Pointer: "/lastName", Detail: "is not a member of a line, which has an idempotencyKey and a client"},
			{Pointer: "/emailAddress", Detail: "is not a member of a line, which has an idempotencyKey and a client"},
		}},
		{`{"idempotencyKey": null, "client": ` + jane + `}`, domain.CodeInvalid, 0, []domain.Violation{{Pointer: "/idempotencyKey", Detail: "must be a string"}}},
		{`{"client": [1]}`, domain.CodeInvalid, 0, []domain.Violation{{Detail: "must be an object"}}},
		{`{"client": {"nickname": "J", "address": {"x": 1},` + strings.Replace(jane[1:], "Jane", "", 1) + `}`, domain.CodeInvalid, 0, []domain.Violation{
			{Pointer: "/nickname", Detail: "is an unknown member"},
			{Pointer: "/address/x", Detail: "is an unknown member"},
			{Pointer: "/firstName", Detail: "is required and must not be blank"},
			{Pointer: "/address/line_1", Detail: "is required and must not be blank"},
			{Pointer: "/address/postcode", Detail: "is required and must not be blank"},
		}},
	} {
		_, err := domain.ParseLine([]byte(c.text), time.Now())
		refused, ok := errors.AsType[*domain.Error](err)
		if !ok || refused.Code != c.code || refused.Offset != c.offset || !reflect.DeepEqual(refused.Violations, c.want) {
			t.Errorf("%s: %+v", c.text, err)
		}
	}
}

// FuzzParseLine checks that a line with a JSON value as its client is accepted exactly if that is, with the same details or errors.
func FuzzParseLine(f *testing.F) {
	f.Add(`{"firstName": "Jane", "lastName": "Smith", "emailAddress": "jane@example.com"}`)
	f.Add(`{"address": {"line_1": 1}}`)
	f.Add(`[{}]`)
	f.Add(`{} {}`)
	f.Fuzz(func(t *testing.T, client string) {
		if !jsontext.Value(client).IsValid() {
			return // the line may be valid, with other members
		}
		now := time.Now()
		want, wantErr := domain.Parse([]byte(client), now)
		got, err := domain.ParseLine([]byte(`{"client":`+client+`}`), now)
		if domain.CodeOf(err) != domain.CodeOf(wantErr) || !reflect.DeepEqual(got.Details, want) {
			t.Errorf("%s: %+v, %v, want %+v, %v", client, got.Details, err, want, wantErr)
		}
		refused, _ := errors.AsType[*domain.Error](err)
		alone, _ := errors.AsType[*domain.Error](wantErr)
		if refused != nil && alone != nil && !reflect.DeepEqual(refused.Violations, alone.Violations) {
			t.Errorf("%s: %v, want %v", client, refused.Violations, wantErr)
		}
	})
}
