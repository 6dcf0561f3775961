package consumer_test

import (
	"bytes"
	"context"
	"database/sql"
	"reflect"
	"testing"
	"time"

	"clientele/consumer"
	"clientele/consumer/redo"
	"clientele/domain"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
)

// follow compares the position with the stream once, as a new follower, and returns what that logs.
func (s *system) follow() string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second) // it waits for nothing
	defer cancel()
	var log bytes.Buffer
	f, err := redo.NewFollower(redo.FollowerConfig{Conn: s.nc, Store: s.store, Log: zerolog.New(&log)})
	if err != nil {
		s.t.Fatal(err)
	}
	for err := f.Follow(ctx); err != nil; err = f.Follow(ctx) { // its limits are short for a busy machine
		if ctx.Err() != nil {
			s.t.Fatal(err)
		}
	}
	return log.String()
}

// exec runs a statement without using the store.
func (s *system) exec(statement string) {
	s.t.Helper()
	db, err := sql.Open("sqlite", s.file+"?_pragma=busy_timeout(5000)")
	if err != nil {
		s.t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(statement); err != nil {
		s.t.Fatal(err)
	}
}

// all returns all clients.
func (s *system) all() (clients []domain.Client) {
	s.t.Helper()
	_, err := s.store.Export(context.Background(), func(c domain.Client) error {
		clients = append(clients, c)
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return clients
}

// lose removes a client from the database as if it had never been stored.
func (s *system) lose(ids ...uuid.UUID) {
	s.t.Helper()
	for _, id := range ids {
		s.exec(`DELETE FROM clients WHERE id = '` + id.String() + `'`)
	}
}

func TestALostClientIsStoredAgain(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	commands := s.publishCommands(5)
	stop := s.run(consumer.Config{History: time.Hour}) // otherwise it may trim the commands, which name the callers
	s.drained()
	stop()
	want := s.all()
	s.follow()

	// The clients up to the position are not lost: the follower does not look for them.
	s.lose(commands[0].ID)
	if said := s.follow(); said != "" {
		t.Errorf("nothing was published since the position, and it says %s", said)
	}
	for name, back := range map[string]string{
		"the position went back": `UPDATE redo_position SET sequence = 0`,
		"another stream":         `UPDATE redo_position SET stream = 'another'`,
	} {
		s.lose(commands[1].ID, commands[3].ID)
		s.exec(back)
		s.follow()
		if got := s.all(); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: the clients are\n%v, want\n%v", name, got, want)
		}
		if said := s.follow(); said != "" {
			t.Errorf("%s: the second time it says %s", name, said)
		}
	}
}

// Without its command, a lost client has no caller. Redo does not wait for commands that the log no longer has.
func TestALostClientWhoseCommandIsTrimmed(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	commands := s.publishCommands(2)
	stop := s.run(consumer.Config{History: time.Hour}) // otherwise it may trim the commands, which name the callers
	s.drained()
	stop()
	s.follow()
	for name, trim := range map[string]func(){
		"the others are there": func() { s.purgeBelow(domain.StreamCommands, 2) },
		"the log is empty":     func() { s.purge(domain.StreamCommands) },
	} {
		trim()
		s.lose(commands[0].ID)
		s.exec(`UPDATE redo_position SET sequence = 0`)
		s.follow()
		client, err := s.store.Get(t.Context(), commands[0].ID)
		if err != nil || client.Caller != "" || client.Fingerprint != commands[0].Fingerprint {
			t.Errorf("%s: %+v, %v", name, client, err)
		}
	}
}
