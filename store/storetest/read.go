package storetest

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"clientele/domain"

	"github.com/google/uuid"
)

func (s suite) notFound(t *testing.T) {
	create(t, s.st, Clients(3)...)
	wantNotFound(t, s.st, uuid.New())
}

func (s suite) getAll(t *testing.T) {
	clients := Clients(300)
	clients[0].Details = fullDetails()
	gone := newClient()
	create(t, s.st, append(slices.Clone(clients), gone)...)
	erase(t, s.st, gone.ID)
	ids := []uuid.UUID{gone.ID, uuid.New()}
	for _, c := range clients {
		ids = append(ids, c.ID)
	}
	ids = append(ids, clients[0].ID) // a second time
	found, err := s.st.GetAll(t.Context(), ids)
	if err != nil || len(found) != len(clients) {
		t.Fatalf("GetAll returned %d clients and %v, want %d", len(found), err, len(clients))
	}
	for _, c := range clients {
		wantClient(t, found[c.ID], c)
	}
	if found, err := s.st.GetAll(t.Context(), nil); err != nil || len(found) != 0 {
		t.Errorf("GetAll of none returned %v, %v", found, err)
	}
}

// pages uses a period in which no other test creates clients.
func (s suite) pages(t *testing.T) {
	from := time.Date(1999, 12, 31, 23, 59, 59, 0, time.UTC)
	to := from.Add(time.Second)
	clients := Clients(7)
	for i := range clients {
		clients[i].CreatedAt = from.Add(time.Duration(i) * 200 * time.Millisecond) // the last two are at to or later
	}
	create(t, s.st, clients...)
	if n, err := s.st.Count(t.Context(), from, to); err != nil || n != 5 {
		t.Errorf("Count returned %d and %v, want 5", n, err)
	}
	var after uuid.UUID
	got := map[uuid.UUID]domain.Client{}
	for _, size := range []int{2, 2, 1, 0} {
		page, err := s.st.Page(t.Context(), from, to, after, 2)
		if err != nil || len(page) != size {
			t.Fatalf("a page of %d and %v, want %d", len(page), err, size)
		}
		for _, c := range page {
			if bytes.Compare(c.ID[:], after[:]) <= 0 {
				t.Errorf("%s comes after %s", c.ID, after)
			}
			after, got[c.ID] = c.ID, c
		}
	}
	for _, c := range clients[:5] {
		wantClient(t, got[c.ID], c)
	}
}
