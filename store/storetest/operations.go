package storetest

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"slices"
	"testing"
	"time"

	"clientele/domain"
	"clientele/store"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
)

// newRejection returns the rejection of a command of this caller.
func newRejection(caller string, reason domain.Code, at time.Time) domain.Rejection {
	command := domain.CreateClient{ID: uuid.New(), Caller: caller, AcceptedAt: domain.Timestamp(at.Add(-time.Second)), Body: []byte("{}")}
	return domain.Rejection{
		ID: command.ID.String(), Reason: reason, RejectedAt: domain.Timestamp(at),
		Command: domain.RejectedCommand{Headers: domain.EncodeCommand(command, "").Header, Body: command.Body},
	}
}

func record(t *testing.T, s suite, rejections ...domain.Rejection) {
	t.Helper()
	if err := s.st.RecordRejections(t.Context(), rejections); err != nil {
		t.Fatal(err)
	}
}

// listed returns the ids of all operations of a caller since a time, in pages of two.
func listed(t *testing.T, s suite, caller string, status domain.OperationStatus, from time.Time) (ids []string) {
	t.Helper()
	var after uuid.UUID
	for {
		page, err := s.st.Operations(t.Context(), caller, status, from, after, 2)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			return ids
		}
		for _, o := range page {
			if status != "" && o.Status != status {
				t.Errorf("%s is %s, want %s", o.ID, o.Status, status)
			}
			ids = append(ids, o.ID.String())
			from, after = o.CompletedAt, o.ID
		}
	}
}

func (s suite) operations(t *testing.T) {
	caller, began := "caller "+uuid.NewString(), time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	type completed struct {
		at time.Time
		id uuid.UUID
	}
	all := map[domain.OperationStatus][]completed{}
	for i := range 12 {
		at := began.Add(time.Duration(i/2) * time.Second) // two at each time
		switch i % 3 {
		case 0:
			c := newClient()
			c.Caller, c.AcceptedAt, c.CreatedAt = caller, at.Add(-time.Second), at
			create(t, s.st, c)
			all[domain.OperationSucceeded] = append(all[domain.OperationSucceeded], completed{at, c.ID})
		case 1:
			r := newRejection(caller, domain.CodeInvalid, at)
			record(t, s, r)
			all[domain.OperationRejected] = append(all[domain.OperationRejected], completed{at, uuid.MustParse(r.ID)})
		case 2:
			r := newRejection(caller, domain.CodeUnstorable, at)
			record(t, s, r)
			all[domain.OperationFailed] = append(all[domain.OperationFailed], completed{at, uuid.MustParse(r.ID)})
		}
	}
	other := newClient()
	other.Caller, other.CreatedAt = "another caller", began
	create(t, s.st, other)
	record(t, s, newRejection("another caller", domain.CodeInvalid, began))
	all[""] = slices.Concat(all[domain.OperationSucceeded], all[domain.OperationRejected], all[domain.OperationFailed])
	for status, operations := range all {
		slices.SortFunc(operations, func(a, b completed) int {
			return cmp.Or(a.at.Compare(b.at), bytes.Compare(a.id[:], b.id[:]))
		})
		for _, from := range []time.Time{began, began.Add(2 * time.Second), began.Add(time.Hour)} {
			var want []string
			for _, o := range operations {
				if !o.at.Before(from) {
					want = append(want, o.id.String())
				}
			}
			if got := listed(t, s, caller, status, from); !slices.Equal(got, want) {
				t.Errorf("%q since %s: got %v, want %v", status, from, got, want)
			}
		}
	}
}

// operationsSince lists since the first and the last time that an ingress accepts.
func (s suite) operationsSince(t *testing.T) {
	caller := "caller " + uuid.NewString()
	r := newRejection(caller, domain.CodeInvalid, time.Now())
	record(t, s, r)
	if got := listed(t, s, caller, "", time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC)); !slices.Equal(got, []string{r.ID}) {
		t.Errorf("got %v, want %s", got, r.ID)
	}
	if got := listed(t, s, caller, "", time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC)); len(got) > 0 {
		t.Errorf("got %v, want none", got)
	}
}

func (s suite) operationOfAClient(t *testing.T) {
	caller, at := "caller "+uuid.NewString(), time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	retried := newRejection(caller, domain.CodeInvalid, at)
	record(t, s, retried)
	record(t, s, retried) // a worker repeats the call after an error
	page, err := s.st.Operations(t.Context(), caller, "", at, uuid.Nil, 10)
	want := domain.Operation{
		ID: uuid.MustParse(retried.ID), Status: domain.OperationRejected, AcceptedAt: at.Add(-time.Second), CompletedAt: at,
	}
	if err != nil || len(page) != 1 || !equalOperations(page[0], want) {
		t.Fatalf("got %+v and %v, want %+v", page, err, want)
	}
	c := newClient()
	c.ID, c.Caller, c.CreatedAt = want.ID, caller, at.Add(time.Hour)
	create(t, s.st, c)
	if page, err = s.st.Operations(t.Context(), caller, "", at, uuid.Nil, 10); err != nil || len(page) != 1 || page[0].Status != domain.OperationSucceeded {
		t.Errorf("got %+v and %v, want the client only", page, err)
	}
	erase(t, s.st, c.ID)
	if page, err = s.st.Operations(t.Context(), caller, "", at, uuid.Nil, 10); err != nil || len(page) != 0 {
		t.Errorf("after the erasure: got %+v and %v, want none", page, err)
	}
}

func equalOperations(a, b domain.Operation) bool {
	return a.ID == b.ID && a.Status == b.Status && a.AcceptedAt.Equal(b.AcceptedAt) && a.CompletedAt.Equal(b.CompletedAt)
}

// recordMeanwhile records the same rejections in opposite orders at once, as workers do that have received the same commands.
func (s suite) recordMeanwhile(t *testing.T) {
	var rejections []domain.Rejection
	for range 200 {
		rejections = append(rejections, newRejection("caller", domain.CodeInvalid, time.Now()))
	}
	reversed := slices.Clone(rejections)
	slices.Reverse(reversed)
	var group errgroup.Group
	for _, some := range [][]domain.Rejection{rejections, reversed, rejections, reversed} {
		group.Go(func() error { return s.st.RecordRejections(context.Background(), some) })
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
}

// recordNothing records rejections of commands that no ingress wrote. No database may refuse them, or the worker would not get past them.
func (s suite) recordNothing(t *testing.T) {
	at := time.Now()
	noID, zero, invalid := newRejection("a", domain.CodeUndecodable, at), newRejection("a\x00b", domain.CodeUndecodable, at), newRejection("a\xffb", domain.CodeUndecodable, at)
	noID.ID = "not an id"
	bare := newRejection("", domain.CodeUndecodable, at)
	bare.Command.Headers = nil
	record(t, s, noID, zero, invalid, bare, bare, newRejection(longCaller(), domain.CodeUndecodable, at))
	record(t, s)
	caller := "caller " + uuid.NewString()
	record(t, s, newRejection(caller, domain.CodeErased, at))
	if got := listed(t, s, caller, "", at.Add(-time.Hour)); len(got) > 0 {
		t.Errorf("the id of an erased client is recorded: %v", got)
	}
}

// trimRejections removes the oldest records, some at a time.
func (s suite) trimRejections(t *testing.T) {
	db := s.fresh(t)
	s = suite{db: db, st: open(t, db)}
	migrate(t, s.st)
	began := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var ids []string
	for i := range 9 {
		r := newRejection("caller", domain.CodeInvalid, began.Add(time.Duration(i)*time.Second))
		record(t, s, r)
		ids = append(ids, r.ID)
	}
	before := began.Add(7 * time.Second)
	for _, want := range []int{5, 2, 0} {
		if n, err := s.st.TrimRejections(t.Context(), before, 5); err != nil || n != want {
			t.Fatalf("removed %d (%v), want %d", n, err, want)
		}
		if got := listed(t, s, "caller", "", began); want == 5 && !slices.Equal(got, ids[5:]) || want < 5 && !slices.Equal(got, ids[7:]) {
			t.Errorf("left %v of %v", got, ids)
		}
	}
}

// trimMeanwhile trims rejections in several programs at once, which also record them again.
func (s suite) trimMeanwhile(t *testing.T) {
	db := s.fresh(t)
	s = suite{db: db, st: open(t, db)}
	migrate(t, s.st)
	at := domain.Timestamp(time.Now())
	var rejections []domain.Rejection
	for range 200 {
		rejections = append(rejections, newRejection("caller", domain.CodeInvalid, at))
	}
	record(t, s, rejections...)
	var group errgroup.Group
	for range 3 {
		group.Go(func() error { return s.st.RecordRejections(context.Background(), rejections) })
		group.Go(func() error {
			for range 5 {
				if _, err := s.st.TrimRejections(context.Background(), at.Add(time.Second), 50); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
	if n, err := s.st.TrimRejections(t.Context(), at.Add(time.Second), 1000); err != nil || len(listed(t, s, "caller", "", at)) > 0 {
		t.Errorf("removed %d (%v), but not all", n, err)
	}
}

// longCaller returns a caller that no ingress has, and that PostgreSQL can neither index nor compress.
func longCaller() string {
	random := make([]byte, 30_000)
	_, _ = rand.Read(random) // never fails
	return base64.StdEncoding.EncodeToString(random)
}

// recordRefused records rejections of which the database refuses some for good, here the second of each caller.
func (s suite) recordRefused(t *testing.T) {
	db := s.fresh(t)
	s = suite{db: db, st: open(t, db)}
	migrate(t, s.st)
	if err := db.Exec(`CREATE UNIQUE INDEX refuse ON rejections (caller)`); err != nil {
		t.Fatal(err)
	}
	at := domain.Timestamp(time.Now())
	record(t, s, newRejection("refused", domain.CodeInvalid, at))
	var rejections []domain.Rejection
	for i := range 9 {
		rejections = append(rejections, newRejection(fmt.Sprint("caller ", i), domain.CodeInvalid, at), newRejection("refused", domain.CodeInvalid, at))
	}
	record(t, s, rejections...)
	record(t, s, rejections...)
	for i := range 9 {
		if got := listed(t, s, fmt.Sprint("caller ", i), "", at); !slices.Equal(got, []string{rejections[2*i].ID}) {
			t.Errorf("caller %d: got %v, want %s", i, got, rejections[2*i].ID)
		}
	}
	if got := listed(t, s, "refused", "", at); len(got) != 1 {
		t.Errorf("got %v, want the first", got)
	}
}

// longCallers has clients of callers that no ingress has, as those of other programs that published to the log of an earlier version.
func (s suite) longCallers(t *testing.T) {
	db := s.fresh(t)
	st := open(t, db)
	migrate(t, st)
	for _, statement := range []string{
		`DROP INDEX clients_caller`, `DROP TABLE rejections`, `DELETE FROM ` + store.MigrationsTable + ` WHERE version_id = 7`,
	} {
		if err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	before, after := newClient(), newClient()
	before.Caller, after.Caller = longCaller(), longCaller()
	create(t, st, before)
	migrate(t, st)
	create(t, st, after)
	wantStored(t, st, before)
	wantStored(t, st, after)
}
