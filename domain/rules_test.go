package domain_test

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"clientele/domain"
)

// TestRulesHaveAVersion fails when the members of a client or the telephone numbers change without a new version of the rules: an older
// worker would reject what this ingress accepts.
func TestRulesHaveAVersion(t *testing.T) {
	const version = 1 // of the rules below
	const phones = "v1.8.1"
	const members = "firstName lastName emailAddress title middleName companyName telephoneNumber altTelephoneNumber pronouns " +
		"communicationPreferences(email phone sms post) avatarUrl dob nationality niNumber occupation " +
		"address(line_1 line_2 line_3 post_town county postcode uprn)"

	mod, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	library := regexp.MustCompile(`nyaruka/phonenumbers (\S+)`).FindSubmatch(mod)
	if library == nil {
		t.Fatal("go.mod has no library for telephone numbers")
	}
	got := strings.Join(namesOf(reflect.TypeFor[domain.Details]()), " ")
	if domain.Rules != version || string(library[1]) != phones || got != members {
		t.Errorf("the rules are version %d with %s and %s; if they changed, increase domain.Rules and update this test",
			domain.Rules, library[1], got)
	}
}

// namesOf returns the JSON names of the members of a struct, with those of nested structs in parentheses.
func namesOf(object reflect.Type) (names []string) {
	for field := range object.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		inner := field.Type
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct {
			name += "(" + strings.Join(namesOf(inner), " ") + ")"
		}
		names = append(names, name)
	}
	return names
}
