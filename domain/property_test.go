package domain_test

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/nyaruka/phonenumbers"
	"pgregory.net/rapid"

	"clientele/domain"
)

// text draws varied text: marks that NFC composes or reorders, letters with unusual upper case, all kinds of space, characters
// that JSON escapes.
var text = rapid.Custom(func(t *rapid.T) string {
	space := rapid.StringOfN(rapid.SampledFrom([]rune(" \t\r\n\u00a0\u0085\u2003\u3000")), 0, 3, -1)
	marks := "\u0301\u0308\u0323\u034f\u0344\u1100\u1161\u11a8\u200d"
	runes := []rune(marks + "aZé \u00a0\u212a\u017f\ufb01\ufffd\u2028😀\"\\/<")
	inner := rapid.StringOfN(rapid.SampledFrom(runes), 0, 60, -1)
	return space.Draw(t, "before") + "a" + inner.Draw(t, "text") + space.Draw(t, "after")
})

// forms draw valid values for the members with a form.
var forms = map[string]*rapid.Generator[string]{
	"/emailAddress":       rapid.StringMatching(` ?("[a-z]* [a-z]*"|[a-zé!#$%&'*+/=?^_{|}~-]+)@[a-zé]+(\.[a-z]+)?`),
	"/telephoneNumber":    rapid.StringMatching(` ?\+4420794[0-9]{5}`),
	"/altTelephoneNumber": rapid.StringMatching(`\+447700900[0-9]{3}\t?`),
	"/avatarUrl":          rapid.StringMatching(` ?https?://[a-zé]{1,9}(:[0-9]{1,4})?(/[a-zé]*)?(\?[a-zé&=]*)?`),
	"/dob":                rapid.StringMatching(`(19[0-9]{2}|000[1-9])-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8]) ?`),
	"/niNumber":           rapid.StringMatching(` ?[AaBb] ?[AaBb]( ?[0-9]){6} ?[A-Da-d]`),
	"/address/uprn":       rapid.StringMatching(`[0-9]{1,12} ?`),
	"/address/postcode":   rapid.OneOf(text, rapid.StringMatching(` ?[A-Za-z]{1,2} ?[0-9][0-9a-z]? {0,2}[0-9][A-Za-z]{2}`)),
}

// request draws the members of a body that Parse accepts, as JSON.
var request = rapid.Custom(func(t *rapid.T) []string {
	var members, address []string
	for _, pointer := range slices.Sorted(maps.Keys(pointers)) {
		form, ok := forms[pointer]
		if !ok {
			form = text
		}
		values := []*rapid.Generator[string]{form}
		if !pointers[pointer] {
			values = append(values, rapid.SampledFrom([]string{"", " \t"}))
		}
		value, err := json.Marshal(rapid.OneOf(values...).Draw(t, pointer))
		if err != nil {
			t.Fatal(err)
		}
		if name, ok := strings.CutPrefix(pointer, "/address/"); ok {
			address = append(address, `"`+name+`":`+string(value))
		} else {
			members = append(members, `"`+pointer[1:]+`":`+string(value))
		}
	}
	optional := []string{
		`"address":` + object(address),
		rapid.SampledFrom([]string{
			`"communicationPreferences":{}`, `"communicationPreferences":{"sms":true,"post":false}`,
		}).Draw(t, "preferences"),
	}
	return append(members, optional[:rapid.IntRange(0, 2).Draw(t, "objects")]...)
})

func object(members []string) string { return "{" + strings.Join(members, ", ") + "}" }

// Accepted details are accepted again without a change: the worker decodes the command of the ingress, and callers send back the
// record that they received.
func TestParseIsIdempotent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		members := request.Draw(t, "members")
		c := command(t, []byte(object(members)))

		again := command(t, c.Body)
		if !reflect.DeepEqual(again, c) {
			t.Errorf("read again\n got %s\nwant %s", again.Body, c.Body)
		}

		shuffled := command(t, []byte(object(rapid.Permutation(members).Draw(t, "shuffled"))))
		if shuffled.Fingerprint != c.Fingerprint {
			t.Errorf("shuffled\n got %s\nwant %s", shuffled.Body, c.Body)
		}

		record, err := c.Client(today).JSON()
		if err != nil {
			t.Fatal(err)
		}
		var sent map[string]jsontext.Value
		if err := json.Unmarshal(record, &sent); err != nil {
			t.Fatal(err)
		}
		delete(sent, "id")
		delete(sent, "status")
		body, err := json.Marshal(sent)
		if err != nil {
			t.Fatal(err)
		}
		if returned := command(t, body); returned.Fingerprint != c.Fingerprint {
			t.Errorf("from the record\n got %s\nwant %s", returned.Body, c.Body)
		}
	})
}

// Any text is either refused or accepted without a panic. Accepted text does not change when parsed again.
func TestParseOfAnyText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pointer := rapid.SampledFrom(slices.Sorted(maps.Keys(pointers))).Draw(t, "pointer")
		value, err := json.Marshal(rapid.OneOf(rapid.String(), text).Draw(t, "value"))
		if err != nil {
			t.Fatal(err)
		}
		d, err := domain.Parse([]byte(with(pointer, string(value))), today)
		if err != nil {
			return
		}
		body, err := d.Canonical()
		if err != nil {
			t.Fatal(err)
		}
		if again, err := domain.Parse(body, today); err != nil || !reflect.DeepEqual(again, d) {
			t.Errorf("%v: read again\n got %+v\nwant %+v", err, again, d)
		}
	})
}

// The fast path for UK numbers agrees with the library.
func TestUKNumbersAreReadAsTheLibraryReadsThem(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringMatching(`\+44[0-9]{0,15}`).Draw(t, "number")
		_, err := domain.Parse([]byte(minimal(`"telephoneNumber":"`+s+`"`)), today)
		number, unreadable := phonenumbers.Parse(s, "GB")
		want := unreadable == nil && len(s) <= len("+123456789012345") &&
			phonenumbers.Format(number, phonenumbers.E164) == s &&
			phonenumbers.IsPossibleNumberWithReason(number) == phonenumbers.IS_POSSIBLE
		if (err == nil) != want {
			t.Fatalf("%s: %v, want it accepted: %t", s, err, want)
		}
	})
}
