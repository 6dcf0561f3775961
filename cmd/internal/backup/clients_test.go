package backup_test

import (
	"reflect"
	"testing"
	"time"

	"clientele/cmd/internal/backup"
	"clientele/domain"
	"clientele/store/storetest"
)

// TestEveryField fails if a backup would lose a member of a client.
func TestEveryField(t *testing.T) {
	t.Parallel()
	var c domain.Client
	fillIn(t, reflect.ValueOf(&c).Elem())
	for _, missing := range []bool{false, true} {
		line, err := backup.Encode(c, missing)
		if err != nil {
			t.Fatal(err)
		}
		got, gotMissing, err := backup.Decode(line)
		if err != nil || gotMissing != missing || !reflect.DeepEqual(got, c) {
			t.Errorf("%s came back as %+v, %v, %v", line, got, gotMissing, err)
		}
	}
	if _, _, err := backup.Decode([]byte(`{"firstName":"Jane","shoeSize":5}`)); err == nil {
		t.Error("a member that is not known is lost")
	}
}

// fillIn sets every field to a non-zero value.
func fillIn(t *testing.T, v reflect.Value) {
	t.Helper()
	if v.Type() == reflect.TypeFor[time.Time]() {
		v.Set(reflect.ValueOf(time.Date(2026, 3, 29, 1, 30, 0, 123_456_000, time.UTC)))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for _, field := range v.Fields() {
			fillIn(t, field)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fillIn(t, v.Elem())
	case reflect.Array:
		for i := range v.Len() {
			fillIn(t, v.Index(i))
		}
	case reflect.String:
		v.SetString("O'Brien \"\\\u2028 é")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Uint8:
		v.SetUint(0xa5)
	default:
		t.Fatalf("no value for a %s", v.Type())
	}
}

// A backup of version 0.1 has no callers, but the rest.
func TestABackupWithoutCallers(t *testing.T) {
	t.Parallel()
	from, to := start(t), start(t)
	clients := storetest.Clients(2)
	for i := range clients {
		clients[i].Caller, clients[i].KeyID = "", ""
	}
	if _, err := from.db.Create(t.Context(), clients); err != nil {
		t.Fatal(err)
	}
	dir, m := create(t, from)
	inFormat2(t, dir, m)
	if err := restore(t, to, dir); err != nil {
		t.Fatal(err)
	}
	if got, _ := export(t, to.db); !reflect.DeepEqual(got, clients) {
		t.Errorf("%+v, want %+v", got, clients)
	}
}
