package endpoint_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"clientele/domain"
	"clientele/publisher/endpoint"
	"clientele/publisher/publishertest"
	"clientele/publisher/streams"

	"github.com/nats-io/nats.go/jetstream"
)

func open(t *testing.T) (jetstream.JetStream, *endpoint.Bucket) {
	t.Helper()
	js, err := jetstream.New(publishertest.Start(t).Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := streams.Migrate(t.Context(), js, streams.Config{}); err != nil {
		t.Fatal(err)
	}
	bucket, err := endpoint.Open(t.Context(), js)
	if err != nil {
		t.Fatal(err)
	}
	return js, bucket
}

func crm(t *testing.T, b *endpoint.Bucket) endpoint.Endpoint {
	t.Helper()
	e, err := b.Get(t.Context(), "crm")
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestEndpoints(t *testing.T) {
	t.Parallel()
	_, b := open(t)
	if all, err := b.List(t.Context()); err != nil || len(all) != 0 {
		t.Fatal(all, err)
	}
	key := []byte("0123456789abcdef")
	settings := endpoint.Settings{URL: "https://crm.example.com", InFlight: 4, GiveUpAfter: endpoint.Duration(time.Hour), Subjects: []string{domain.SubjectCreated}}
	for _, name := range []string{"crm", "billing"} {
		if err := b.Add(t.Context(), name, settings, key); err != nil {
			t.Fatal(err)
		}
	}
	_, conflict := errors.AsType[*endpoint.ConflictError](b.Add(t.Context(), "crm", settings, key))
	_, missing := errors.AsType[*endpoint.MissingError](func() error { _, err := b.Get(t.Context(), "other"); return err }())
	if !conflict || !missing {
		t.Errorf("added twice: conflict %v; other: missing %v", conflict, missing)
	}
	all, err := b.List(t.Context())
	if err != nil || len(all) != 2 || all[0].Name != "billing" || all[1].Name != "crm" {
		t.Fatal(all, err)
	}
	e := all[1]
	if e.URL != settings.URL || e.InFlight != 4 || e.GiveUpAfter != settings.GiveUpAfter || !slices.Equal(e.Subjects, settings.Subjects) ||
		e.State() != endpoint.Active || e.CreatedAt.IsZero() || e.ActiveSince.IsZero() || bytes.Contains(e.Secret, key) {
		t.Errorf("%+v", e)
	}
}

func TestStates(t *testing.T) {
	t.Parallel()
	_, b := open(t)
	key := []byte("0123456789abcdef")
	settings := endpoint.Settings{URL: "https://crm.example.com"}
	for _, name := range []string{"crm", "billing"} {
		if err := b.Add(t.Context(), name, settings, key); err != nil {
			t.Fatal(err)
		}
	}
	e := crm(t, b)
	if err := b.SetHealth(t.Context(), e, endpoint.Health{DisabledAt: time.Now()}); err != nil {
		t.Fatal(err)
	}
	if _, conflict := errors.AsType[*endpoint.ConflictError](b.SetHealth(t.Context(), e, endpoint.Health{})); !conflict {
		t.Error("the health of another process is overwritten")
	}
	disabled := crm(t, b)
	if disabled.State() != endpoint.Disabled || disabled.Revision() != e.Revision() {
		t.Errorf("%+v", disabled)
	}
	disabled.Paused = true
	if err := b.Set(t.Context(), disabled); err != nil || crm(t, b).State() != endpoint.Paused {
		t.Error(err)
	}
	if _, conflict := errors.AsType[*endpoint.ConflictError](b.Set(t.Context(), e)); !conflict {
		t.Error("a change of another operator is overwritten")
	}
	if err := b.Resume(t.Context(), crm(t, b)); err != nil || crm(t, b).State() != endpoint.Active {
		t.Error(err)
	}
	if err := b.Remove(t.Context(), "crm"); err != nil {
		t.Fatal(err)
	}
	if all, err := b.List(t.Context()); err != nil || len(all) != 1 || all[0].Name != "billing" {
		t.Error(all, err)
	}
	if err := b.Add(t.Context(), "crm", settings, key); err != nil {
		t.Errorf("it cannot be added again: %v", err)
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	_, b := open(t)
	first, second, third := []byte("0123456789abcdef-1"), []byte("0123456789abcdef-2"), []byte("0123456789abcdef-3")
	if err := b.Add(t.Context(), "crm", endpoint.Settings{URL: "https://crm.example.com"}, first); err != nil {
		t.Fatal(err)
	}
	check := func(when string, at time.Time, want ...[]byte) {
		t.Helper()
		if keys, err := b.Keys(crm(t, b), at); err != nil || !slices.EqualFunc(keys, want, bytes.Equal) {
			t.Errorf("%s: %q (%v), want %q", when, keys, err, want)
		}
	}
	check("new", time.Now(), first)
	if err := b.Rotate(t.Context(), crm(t, b), second, time.Hour); err != nil {
		t.Fatal(err)
	}
	check("in the overlap", time.Now(), second, first)
	check("after the overlap", time.Now().Add(time.Hour), second)
	if err := b.Rotate(t.Context(), crm(t, b), third, time.Minute); err != nil {
		t.Fatal(err)
	}
	check("rotated again in the overlap", time.Now(), third, second, first)
	check("after the second overlap", time.Now().Add(time.Minute), third, first)
	check("after both", time.Now().Add(time.Hour), third)
	if err := b.Rotate(t.Context(), crm(t, b), third, 0); err != nil {
		t.Fatal(err)
	}
	check("after a leak", time.Now(), third)

	// A sealed key is of no use under another name or with another log.
	e := crm(t, b)
	e.Name = "other"
	if _, sealed := errors.AsType[*endpoint.SealError](func() error { _, err := b.Keys(e, time.Now()); return err }()); !sealed {
		t.Error("another endpoint can use the key")
	}
	_, stranger := open(t)
	if _, sealed := errors.AsType[*endpoint.SealError](func() error { _, err := stranger.Keys(crm(t, b), time.Now()); return err }()); !sealed {
		t.Error("another installation can use the key")
	}
	if err := stranger.Rotate(t.Context(), e, third, time.Hour); err == nil {
		t.Error("a missing endpoint is changed")
	}
}

// A secret that still signs is never dropped for room, unless the operator ends all former ones.
func TestRotateTooOften(t *testing.T) {
	t.Parallel()
	_, b := open(t)
	key := func(i int) []byte { return fmt.Appendf(nil, "0123456789abcdef-%d", i) }
	if err := b.Add(t.Context(), "crm", endpoint.Settings{URL: "https://crm.example.com"}, key(0)); err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		if err := b.Rotate(t.Context(), crm(t, b), key(i+1), time.Duration(i+1)*time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	before := crm(t, b)
	many, ok := errors.AsType[*endpoint.TooManySecretsError](b.Rotate(t.Context(), before, key(5), time.Hour))
	if !ok || time.Until(many.Until) > time.Hour || time.Until(many.Until) < time.Hour-time.Minute {
		t.Errorf("%+v", many)
	}
	if keys, err := b.Keys(crm(t, b), time.Now()); err != nil || len(keys) != 5 || !bytes.Equal(keys[0], key(4)) || !bytes.Equal(keys[4], key(0)) {
		t.Errorf("%q, %v", keys, err)
	}
	if until := time.Until(before.PreviousUntil()); until > 4*time.Hour || until < 4*time.Hour-time.Minute {
		t.Errorf("the last former secret signs for %s", until)
	}
	if err := b.Rotate(t.Context(), before, key(5), 0); err != nil {
		t.Error(err)
	}
}

// forgetSecret has the command log lose the secret of the installation.
func forgetSecret(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	stream, err := js.Stream(t.Context(), domain.StreamCommands)
	if err != nil {
		t.Fatal(err)
	}
	config := stream.CachedInfo().Config
	config.Metadata = nil
	if _, err := js.UpdateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
}

// After a restore beside another command log, no former secret can be decrypted. A rotation repairs the webhook at once.
func TestRotateRepairsAnUnreadableWebhook(t *testing.T) {
	t.Parallel()
	js, foreign := open(t)
	first, second := []byte("0123456789abcdef-1"), []byte("0123456789abcdef-2")
	if err := foreign.Add(t.Context(), "crm", endpoint.Settings{URL: "https://crm.example.com"}, first); err != nil {
		t.Fatal(err)
	}
	if err := foreign.Rotate(t.Context(), crm(t, foreign), second, time.Hour); err != nil {
		t.Fatal(err)
	}
	forgetSecret(t, js)
	if err := streams.Migrate(t.Context(), js, streams.Config{}); err != nil {
		t.Fatal(err)
	}
	b, err := endpoint.Open(t.Context(), js)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Rotate(t.Context(), crm(t, b), first, time.Hour); err != nil {
		t.Fatal(err)
	}
	if keys, err := b.Keys(crm(t, b), time.Now()); err != nil || len(keys) != 1 {
		t.Errorf("%q, %v", keys, err)
	}
}

// A log of version 0.1 has no secret of the installation. The first migration adds one for webhooks, and keeps it.
func TestAnOldLogGetsASecret(t *testing.T) {
	t.Parallel()
	js, _ := open(t)
	forgetSecret(t, js)
	if _, err := endpoint.Open(t.Context(), js); err == nil || !strings.Contains(err.Error(), "run clientele migrate") {
		t.Errorf("without a secret: %v", err)
	}
	secret := func() string {
		t.Helper()
		if err := streams.Migrate(t.Context(), js, streams.Config{}); err != nil {
			t.Fatal(err)
		}
		stream, err := js.Stream(t.Context(), domain.StreamCommands)
		if err != nil {
			t.Fatal(err)
		}
		if config := stream.CachedInfo().Config; streams.SecretOf(config) != "" {
			t.Error("the ids of keyed requests change")
		}
		return streams.EncryptionSecret(stream.CachedInfo().Config)
	}
	if first, second := secret(), secret(); first == "" || first != second {
		t.Errorf("%q, then %q", first, second)
	}
}

func TestDeliveries(t *testing.T) {
	t.Parallel()
	js, b := open(t)
	began := time.Now().UTC()
	for i := range 3 {
		err := b.Record(t.Context(), "crm", []endpoint.Delivery{
			{Time: began.Add(-time.Hour), Event: uint64(2*i + 1), Result: endpoint.Delivered, Status: 200, Millis: 1.5},
			{Time: began, Event: uint64(2*i + 2), Result: endpoint.Failed, Error: "refused"},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	events := func(name string, since time.Time) (found []uint64) {
		for d, err := range endpoint.Deliveries(t.Context(), js, name, since) {
			if err != nil {
				t.Fatal(err)
			}
			found = append(found, d.Event)
		}
		return found
	}
	if got := events("crm", time.Time{}); !slices.Equal(got, []uint64{1, 2, 3, 4, 5, 6}) {
		t.Error(got)
	}
	if got := events("crm", began.Add(-time.Minute)); !slices.Equal(got, []uint64{2, 4, 6}) {
		t.Error(got)
	}
	if got := events("other", time.Time{}); len(got) != 0 {
		t.Error(got)
	}
}

// A process records late what it has seen of a removed endpoint. A new one of the same name has none of that.
func TestANewEndpointHasNoHistory(t *testing.T) {
	t.Parallel()
	js, b := open(t)
	settings, key := endpoint.Settings{URL: "https://crm.example.com"}, []byte("0123456789abcdef")
	if err := b.Add(t.Context(), "crm", settings, key); err != nil {
		t.Fatal(err)
	}
	removed := crm(t, b)
	if err := b.Remove(t.Context(), "crm"); err != nil {
		t.Fatal(err)
	}
	late := []endpoint.Delivery{{Time: time.Now(), Event: 1, Result: endpoint.Failed}}
	if err := errors.Join(b.Record(t.Context(), "crm", late), b.SetHealth(t.Context(), removed, endpoint.Health{DisabledAt: time.Now()})); err != nil {
		t.Fatal(err)
	}
	if err := b.Add(t.Context(), "crm", settings, key); err != nil {
		t.Fatal(err)
	}
	deliveries := func() (n int) {
		for _, err := range endpoint.Deliveries(t.Context(), js, "crm", time.Time{}) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		return n
	}
	if n, e := deliveries(), crm(t, b); n != 0 || e.State() != endpoint.Active {
		t.Errorf("a new endpoint has %d deliveries and is %s", n, e.State())
	}
	if err := b.Record(t.Context(), "crm", late); err != nil {
		t.Fatal(err)
	}
	if err := b.Add(t.Context(), "crm", settings, key); err == nil || deliveries() != 1 {
		t.Errorf("adding it again: %v, and it has %d deliveries", err, deliveries())
	}
}

func TestParseSecret(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"whsec_MDEyMzQ1Njc4OWFiY2RlZg==": "0123456789abcdef", "0123456789abcdef": "0123456789abcdef", "0123456789abcde": "", "whsec_MDEy": "", "whsec_!": "",
	} {
		if key, err := endpoint.ParseSecret(text); (err != nil) != (want == "") || err == nil && string(key) != want {
			t.Errorf("%s: %q %v, want %q", text, key, err, want)
		}
	}
	first, second := endpoint.NewSecret(), endpoint.NewSecret()
	if key, err := endpoint.ParseSecret(first); err != nil || len(key) != 32 || first == second {
		t.Errorf("%s, %s: %v", first, second, err)
	}
}
