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
	// seen has how often a content occurred, or the number of the row that has a value in the key column. At 16 bytes a hash,
	// a million rows are some 50 MB.
	seen map[keyHash]uint32
}

type keyHash [16]byte

func hashOf(text []byte) keyHash {
	sum := sha256.Sum256(text)
	return keyHash(sum[:16])
}

func (h keyHash) String() string { return hex.EncodeToString(h[:]) }

// assign gives a row its key, or the reason why it cannot have one.
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

// fromContent derives the key from the client, however it is written, and from how often the file has it so far. So rows that
// are equal are different clients, and no other row matters.
func (k *keys) fromContent(r *row) {
	content := jsontext.Value(r.body).Clone()
	if err := content.Canonicalize(); err != nil { // RFC 8785
		r.err = "the row has no canonical JSON"
		return
	}
	hash := hashOf(content)
	k.seen[hash]++
	r.key = fmt.Sprintf("import-%s-%d", hash, k.seen[hash])
}

// fromColumn derives the key from the value in the key column, which no two rows may share: even if they are equal, one of them
// would not become a client.
func (k *keys) fromColumn(r *row) {
	id := strings.TrimSpace(r.id)
	if id == "" {
		r.err = k.column + " is empty: each row needs a key in it"
		return
	}
	hash := hashOf([]byte(id))
	if first, taken := k.seen[hash]; taken {
		r.err = fmt.Sprintf("%s is the same as in row %d: each row needs a key of its own", k.column, first)
		return
	}
	k.seen[hash] = uint32(r.number)
	r.key = "import-" + hash.String()
}
