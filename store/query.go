package store

import (
	"bytes"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/collate"
	"golang.org/x/text/language"
	"golang.org/x/text/unicode/norm"
)

// Query selects clients by their members. A client matches if it matches every field that is set. An empty Query matches no
// client.
type Query struct {
	// Email is a whole e-mail address. Case is ignored.
	Email string
	// Name is one or more words in any order, such as "Jane Smith" or "Smith, J". Each must begin a word of the first, the
	// middle or the last name. Case, accents and punctuation are ignored; spaces, commas and hyphens separate words.
	Name string
}

// Names are the members of a client that a Query compares.
type Names struct {
	Email, First, Middle, Last string
}

// Matcher returns a function that reports whether the query matches a client with these names. The
// function is not safe for concurrent use.
//
// Stores call it for each client instead of comparing in SQL, because databases treat case and accents differently.
func (q Query) Matcher() func(Names) bool {
	email := norm.NFC.String(strings.TrimSpace(q.Email)) // as domain stores it
	wanted := newWordKeys().of(q.Name)
	if email == "" && q.Email != "" || len(wanted) == 0 && (q.Name != "" || q.Email == "") {
		return func(Names) bool { return false }
	}
	keys := newWordKeys()
	return func(n Names) bool {
		if email != "" && !strings.EqualFold(email, n.Email) {
			return false
		}
		if len(wanted) == 0 {
			return true
		}
		words := keys.of(n.First, n.Middle, n.Last)
		return !slices.ContainsFunc(wanted, func(want []byte) bool {
			return !slices.ContainsFunc(words, func(word []byte) bool { return bytes.HasPrefix(word, want) })
		})
	}
}

// wordKeys builds collation keys of words (Unicode Technical Standard 10). Words that differ only in case or accents have equal
// keys. The key of a prefix of a word is a prefix of the word's key.
type wordKeys struct {
	collator *collate.Collator
	buffer   collate.Buffer
	keys     [][]byte
}

func newWordKeys() *wordKeys {
	return &wordKeys{collator: collate.New(language.Und, collate.Loose)}
}

// of returns the keys of the words in the names. They are valid until the next call.
func (w *wordKeys) of(names ...string) [][]byte {
	w.buffer.Reset()
	w.keys = w.keys[:0]
	for _, name := range names {
		for word := range strings.FieldsFuncSeq(name, separates) {
			// An empty key is a prefix of every key.
			if key := w.collator.KeyFromString(&w.buffer, strings.Map(withoutPunctuation, word)); len(key) > 0 {
				w.keys = append(w.keys, key)
			}
		}
	}
	return w.keys
}

// separates reports whether a character separates words. Pd is the Unicode category of hyphens and dashes.
func separates(r rune) bool { return unicode.IsSpace(r) || r == ',' || unicode.Is(unicode.Pd, r) }

// withoutPunctuation removes punctuation and symbols, such as the apostrophe of O'Brien, which has several spellings.
func withoutPunctuation(r rune) rune {
	if unicode.IsPunct(r) || unicode.IsSymbol(r) {
		return -1
	}
	return r
}
