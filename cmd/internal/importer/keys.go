package importer

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// keyedRows are the rows of a file with their idempotency keys.
type keyedRows struct {
	rows

	keys keys
}

func (k *keyedRows) next() (row, error) {
	r, err := k.rows.next()
	if err == nil && r.err == "" {
		k.keys.assign(&r)
	}
	return r, err
}

// keys assigns idempotency keys to the rows of one file, in their order.
type keys struct {
	column string // "" to derive keys from content
	// seen has, by hash, the number of equal rows so far, or the number of the row with this value in the key column. A million
	// rows need about 50 MB.
	seen map[keyHash]uint32
}

type keyHash [16]byte

func hashOf(text []byte) keyHash {
	sum := sha256.Sum256(text)
	return keyHash(sum[:16])
}

func (h keyHash) String() string { return hex.EncodeToString(h[:]) }

// assign sets the key of a row, or the reason why it has none.
func (k *keys) assign(r *row) {
	if k.seen == nil {
		k.seen = map[keyHash]uint32{}
	}
	if k.column != "" {
		k.fromColumn(r)
	} else {
		k.fromContent(r)
	}
}

// fromContent derives the key from the canonical JSON of the client and the number of equal rows before it. So equal rows are
// different clients, and the key does not depend on other rows.
func (k *keys) fromContent(r *row) {
	content := jsontext.Value(r.body).Clone()
	if err := content.Canonicalize(); err != nil { // RFC 8785
		r.err = "the row cannot be written as canonical JSON"
		return
	}
	hash := hashOf(content)
	k.seen[hash]++
	r.key = fmt.Sprintf("import-%s-%d", hash, k.seen[hash])
}

// fromColumn derives the key from the value in the key column. It must be unique: of two rows with the same key, even equal ones,
// only one would become a client.
func (k *keys) fromColumn(r *row) {
	id := strings.TrimSpace(r.id)
	if id == "" {
		r.err = k.column + " is empty: each row needs a key in it"
		return
	}
	hash := hashOf([]byte(id))
	if first, taken := k.seen[hash]; taken {
		r.err = fmt.Sprintf("%s is the same as in row %d: each row needs a unique key", k.column, first)
		return
	}
	k.seen[hash] = uint32(r.number)
	r.key = "import-" + hash.String()
}
