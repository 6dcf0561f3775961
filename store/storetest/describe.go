package storetest

import (
	"testing"
)

// describe describes a database with the schema, and one without.
func (s suite) describe(t *testing.T) {
	empty := open(t, s.fresh(t))
	before, err := empty.Describe(t.Context())
	if err != nil || before.Schema.Version != 0 || before.Program == 0 || before.Product == "" || before.Version == "" {
		t.Errorf("without a schema: %+v, %v", before, err)
	}
	if len(before.Unsafe) > 0 || len(before.Lacking) > 0 {
		t.Errorf("without a schema: unsafe %v, lacking %v", before.Unsafe, before.Lacking)
	}
	after, err := s.st.Describe(t.Context())
	if err != nil || after.Schema.Version < after.Program || after.Schema.Oldest > after.Program || len(after.Unsafe) > 0 || len(after.Lacking) > 0 {
		t.Errorf("with the schema: %+v, %v", after, err)
	}
}
