package store_test

import (
	"testing"

	"clientele/store"
)

func TestQueryMatches(t *testing.T) {
	jane := store.Names{Email: "Jane.Smith@example.com", First: "Jane Mary", Middle: "Élodie", Last: "Smith-O’Brien"}
	lukasz := store.Names{Email: "łukasz@müller.example", First: "Łukasz", Last: "van der Straße"}
	han := store.Names{Email: "li@example.com", First: "小龙", Last: "李"}
	for name, test := range map[string]struct {
		query store.Query
		names store.Names
		want  bool
	}{
		"nothing":                     {store.Query{}, jane, false},
		"the address":                 {store.Query{Email: "Jane.Smith@example.com"}, jane, true},
		"the address in another case": {store.Query{Email: " jane.SMITH@EXAMPLE.com "}, jane, true},
		"the beginning of an address": {store.Query{Email: "jane.smith@example"}, jane, false},
		"more than the address":       {store.Query{Email: "jane.smith@example.com.au"}, jane, false},
		"a blank address":             {store.Query{Email: " "}, jane, false},
		"a blank address and a name":  {store.Query{Email: " ", Name: "Jane"}, jane, false},
		"an address outside ASCII":    {store.Query{Email: "ŁUKASZ@MÜLLER.EXAMPLE"}, lukasz, true},
		"an address in NFD":           {store.Query{Email: "łukasz@mu\u0308ller.example"}, lukasz, true},
		"an address with no accent":   {store.Query{Email: "łukasz@muller.example"}, lukasz, false},

		"first and last name":       {store.Query{Name: "Jane Smith"}, jane, true},
		"last and first name":       {store.Query{Name: "smith, jane"}, jane, true},
		"all names":                 {store.Query{Name: "Jane Mary Elodie Smith-O'Brien"}, jane, true},
		"a middle name":             {store.Query{Name: "ELODIE"}, jane, true},
		"a second last name":        {store.Query{Name: "OBrien"}, jane, true},
		"initials":                  {store.Query{Name: "J. M. Smith"}, jane, true},
		"another first name":        {store.Query{Name: "Joan Smith"}, jane, false},
		"more of a name":            {store.Query{Name: "Janet Smith"}, jane, false},
		"the end of a name":         {store.Query{Name: "mith"}, jane, false},
		"punctuation only":          {store.Query{Name: "'-,."}, jane, false},
		"blanks only":               {store.Query{Name: "  "}, jane, false},
		"what cannot be seen":       {store.Query{Name: "\u200d"}, jane, false},
		"no stroke, no sharp s":     {store.Query{Name: "lukasz strasse"}, lukasz, true},
		"in capitals":               {store.Query{Name: "ŁUKASZ VAN DER STRASSE"}, lukasz, true},
		"the last of a last name":   {store.Query{Name: "Lukasz Straße"}, lukasz, true},
		"another script":            {store.Query{Name: "李 小"}, han, true},
		"another name in it":        {store.Query{Name: "王"}, han, false},
		"a name and its address":    {store.Query{Name: "Jane", Email: "jane.smith@example.com"}, jane, true},
		"a name, another's address": {store.Query{Name: "Jane", Email: "li@example.com"}, jane, false},
		"an address, another name":  {store.Query{Name: "Joan", Email: "jane.smith@example.com"}, jane, false},
		"punctuation and an address": {
			store.Query{Name: "'", Email: "jane.smith@example.com"}, jane, false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			matches := test.query.Matcher()
			for range 2 {
				if got := matches(test.names); got != test.want {
					t.Errorf("%+v matches %+v: %v, want %v", test.query, test.names, got, test.want)
				}
			}
		})
	}
}
