package ingress_test

import (
	"context"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"clientele/domain"
	"clientele/publisher"
	"clientele/publisher/ingress"
	"clientele/publisher/ingress/auth"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
)

// ownerKeys are API keys, by what the tests call them.
type ownerKeys map[string]string

// headers returns the headers of a request with this key.
func (k ownerKeys) headers(key string, more ...string) []string {
	return append(more, "Authorization", "Bearer "+k[key])
}

// newOwnerHarness returns a harness with two keys of pipeline, one of another writer, and one of a reader.
func newOwnerHarness(t *testing.T) (*harness, ownerKeys) {
	t.Helper()
	keys, file := ownerKeys{}, ""
	for name, caller := range map[string]auth.Caller{
		"owner":       {Name: "pipeline", Scopes: []auth.Scope{auth.ScopeWrite}},
		"owner's new": {Name: "pipeline", Scopes: []auth.Scope{auth.ScopeWrite}},
		"attacker":    {Name: "crm", Scopes: []auth.Scope{auth.ScopeWrite}},
		"reader":      {Name: "desk", Scopes: []auth.Scope{auth.ScopeRead}},
	} {
		key, token := auth.NewKey(caller, time.Time{})
		keys[name], file = token, file+key.String()+"\n"
	}
	path := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	keyring := auth.NewKeyring(auth.KeyringConfig{Path: path})
	if _, err := keyring.Load(); err != nil {
		t.Fatal(err)
	}
	return newHarnessWith(t, keyring), keys
}

// TestAnOperationBelongsToItsCaller reads operations in each state as their caller, as another one, and with the scope clients:read.
func TestAnOperationBelongsToItsCaller(t *testing.T) {
	t.Parallel()
	h, keys := newOwnerHarness(t)
	outcomes, err := publisher.OpenOutcomePublisher(t.Context(), h.server.Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	get := func(key, id string, more ...string) answer {
		t.Helper()
		return h.request(http.MethodGet, "/api/v2/operations/"+id, "", keys.headers(key, more...)...)
	}
	check := func(id, status string) {
		t.Helper()
		for _, key := range []string{"owner", "owner's new", "reader"} {
			if a := get(key, id); a.StatusCode != http.StatusOK || a.object(t)["status"] != status {
				t.Errorf("%s: the %s receives %s: %s", status, key, a.Status, a.body)
			}
		}
		for _, more := range [][]string{nil, {"Prefer", "wait=1"}} {
			foreign, unknown := get("attacker", id, more...), get("attacker", uuid.NewString(), more...)
			foreign.problem(t, http.StatusNotFound, "not-found")
			for _, a := range []answer{foreign, unknown} {
				a.Header.Del("Date")
			}
			if string(foreign.body) != string(unknown.body) || !maps.EqualFunc(foreign.Header, unknown.Header, func(a, b []string) bool { return a[0] == b[0] }) {
				t.Errorf("%s: %v %s, but an unknown id %v %s", status, foreign.Header, foreign.body, unknown.Header, unknown.body)
			}
		}
	}
	reject := func(id string, reason domain.Code) {
		t.Helper()
		err := outcomes.PublishRejections([]domain.Rejection{{ID: id, Reason: reason, RejectedAt: domain.Timestamp(time.Now()), Command: h.onLog(id)}})
		if err != nil {
			t.Fatal(err)
		}
	}
	var succeeded, rejected, erased []string
	for _, idempotency := range [][]string{nil, {"Idempotency-Key", "1"}} {
		post := func(suffix string) string {
			headers := keys.headers("owner")
			if idempotency != nil {
				headers = append(headers, idempotency[0], idempotency[1]+suffix)
			}
			id := h.post(jane, headers...).object(t)["id"].(string)
			check(id, "pending")
			return id
		}
		id := post("")
		h.work(uuid.MustParse(id), details(t))
		check(id, "succeeded")
		succeeded = append(succeeded, id)

		id = post("2")
		reject(id, domain.CodeInvalid)
		check(id, "rejected")
		rejected = append(rejected, id)

		id = post("3")
		if _, err := h.store.Erase(t.Context(), uuid.MustParse(id), domain.NewErasure(uuid.MustParse(id), time.Now(), "", "")); err != nil {
			t.Fatal(err)
		}
		reject(id, domain.CodeErased)
		check(id, "rejected")
		erased = append(erased, id)

		id = post("4")
		reject(id, domain.CodeUnstorable)
		check(id, "failed")
	}
	h.trim()
	for status, ids := range map[string][]string{"succeeded": succeeded, "rejected": append(rejected, erased...)} {
		for _, id := range ids {
			check(id, status)
		}
	}
	// A retry of the owner is on the log again, and pending.
	h.post(jane, keys.headers("owner's new", "Idempotency-Key", "12")...)
	check(rejected[1], "pending")
}

// TestNobodyComputesTheIDOfAnother has an attacker that knows the caller's name and key, and the code.
func TestNobodyComputesTheIDOfAnother(t *testing.T) {
	t.Parallel()
	h, keys := newOwnerHarness(t)
	const name, key = "pipeline", "order-1"
	id := h.post(jane, keys.headers("owner", "Idempotency-Key", key)...).object(t)["id"]
	if again := h.post(jane, keys.headers("owner's new", "Idempotency-Key", key)...).object(t)["id"]; again != id {
		t.Errorf("with the caller's other key: %v, want %v", again, id)
	}
	for _, secret := range []string{"", key, name, "clientele-id-secret", domain.StreamCommands, string(make([]byte, 32))} {
		if computed := domain.KeyedID(secret, name, key).String(); computed == id {
			t.Errorf("the id is computed with the secret %q", secret)
		}
	}
	if own := h.post(jane, keys.headers("attacker", "Idempotency-Key", key)...).object(t)["id"]; own == id {
		t.Error("two callers share an id")
	}
}

// The caller and the id of the key are on the log and with the client. A client without a caller, of version 0.1, is for readers, and
// for the caller while the command is on the log.
func TestTheCallerIsStored(t *testing.T) {
	t.Parallel()
	h, keys := newOwnerHarness(t)
	id := uuid.MustParse(h.post(jane, keys.headers("owner")...).object(t)["id"].(string))
	client := h.work(id, details(t))
	want := keys["owner"][len("clk_"):][:len(client.KeyID)]
	if stored, err := h.store.Get(t.Context(), id); err != nil || stored.Caller != "pipeline" || stored.KeyID != want || stored.KeyID == "" {
		t.Errorf("caller %q, key %q, want %q: %v", stored.Caller, stored.KeyID, want, err)
	}

	old := uuid.MustParse(h.post(jane, keys.headers("owner")...).object(t)["id"].(string))
	client.ID, client.Caller, client.KeyID = old, "", ""
	if _, err := h.store.Create(t.Context(), []domain.Client{client}); err != nil {
		t.Fatal(err)
	}
	check := func(want map[string]int) {
		t.Helper()
		for key, status := range want {
			if a := h.request(http.MethodGet, "/api/v2/operations/"+old.String(), "", keys.headers(key)...); a.StatusCode != status {
				t.Errorf("%s: %s: %s", key, a.Status, a.body)
			}
		}
	}
	check(map[string]int{"owner": http.StatusOK, "attacker": http.StatusNotFound, "reader": http.StatusOK})
	h.trim()
	check(map[string]int{"owner": http.StatusNotFound, "attacker": http.StatusNotFound, "reader": http.StatusOK})
}

// pendingLog has a pending command of pipeline under every id.
type pendingLog struct{ slowLog }

func (pendingLog) Find(context.Context, uuid.UUID) (domain.LoggedCommand, error) {
	return domain.LoggedCommand{CommandHeader: domain.CommandHeader{Caller: "pipeline"}}, nil
}

func (l pendingLog) FindLatest(ctx context.Context, id uuid.UUID) (domain.LoggedCommand, error) {
	return l.Find(ctx, id)
}

func (l pendingLog) RejectionLatest(ctx context.Context, id uuid.UUID) (domain.Rejection, error) {
	return l.Rejection(ctx, id)
}

func (pendingLog) Rejection(context.Context, uuid.UUID) (domain.Rejection, error) {
	return domain.Rejection{}, domain.Errorf(domain.CodeNotFound, "none")
}

func (pendingLog) Completed(context.Context, uint64) bool { return false }

func (pendingLog) Watch(uuid.UUID) (<-chan struct{}, func(), error) {
	return make(chan struct{}), func() {}, nil
}

type noClients struct{ ingress.Clients }

func (noClients) Get(context.Context, uuid.UUID) (domain.Client, error) {
	return domain.Client{}, domain.Errorf(domain.CodeNotFound, "none")
}

// Only a caller that may see an operation waits for it: the time of the answer does not show that it exists.
func TestAnotherCallerDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for caller, want := range map[string]struct {
			status int
			after  time.Duration // by the clock of the bubble
		}{"pipeline": {http.StatusOK, 30 * time.Second}, "crm": {http.StatusNotFound, 0}} {
			handler := ingress.NewHandler(pendingLog{}, noClients{}, ingress.Config{Authenticator: onlyWrites{}, Logger: zerolog.Nop()})
			r := httptest.NewRequest(http.MethodGet, "/api/v2/operations/"+uuid.NewString(), nil)
			r.Header.Set("Authorization", "Bearer "+caller)
			r.Header.Set("Prefer", "wait=30")
			w := httptest.NewRecorder()
			began := time.Now()
			handler.ServeHTTP(w, r)
			if after := time.Since(began); w.Code != want.status || after != want.after {
				t.Errorf("%s: %d after %s: %s", caller, w.Code, after, w.Body)
			}
		}
	})
}

// onlyWrites authenticates each token as a caller of that name with clients:write.
type onlyWrites struct{}

func (onlyWrites) Authenticate(_ context.Context, token string) (auth.Caller, error) {
	return auth.Caller{Name: token, Scopes: []auth.Scope{auth.ScopeWrite}}, nil
}
