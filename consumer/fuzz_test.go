package consumer_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"clientele/consumer"
	"clientele/domain"
	"clientele/publisher/publishertest"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	maxCommand   = 64 << 10 // bytes of a command with its headers, see streams.Migrate
	maxRejection = 1 << 20  // NATS's default payload limit
)

// FuzzDecode checks the contract of Decode for any message on the log. It returns a command that matches the message and encodes to
// an equal message, or an error with one of two codes. In both cases the message can be rejected, and the rejection can be parsed.
func FuzzDecode(f *testing.F) {
	seed := func(c domain.CreateClient, change func(*nats.Msg)) {
		msg := messageOf(c)
		change(msg)
		f.Add(strings.TrimPrefix(msg.Subject, domain.SubjectCreate), msg.Header.Get(domain.HeaderFingerprint),
			msg.Header.Get(domain.HeaderCaller), msg.Header.Get(domain.HeaderAcceptedAt), msg.Data)
	}
	good := publishertest.Command(f, domain.KeyedID("", "tester", "1"), "Smith")
	full, err := domain.NewCreateClient(good.ID, "tester", time.Date(2026, 3, 1, 12, 0, 0, 123_456_789, time.UTC), domain.Details{
		FirstName: "Zoë", LastName: "O'Hara", EmailAddress: "z@example.com", TelephoneNumber: new("+442079460958"),
		DOB: new("2026-02-28"), NINumber: new("AB123456C"), AvatarURL: new("https://example.com/z.png"),
		CommunicationPreferences: &domain.CommunicationPreferences{SMS: true},
		Address:                  &domain.Address{Line1: "1", County: new("Kent"), Postcode: "SW1A 2AA", UPRN: new("1")},
	})
	if err != nil {
		f.Fatal(err)
	}
	for _, acceptedAt := range []string{
		"0000-01-01T00:00:00Z", "0000-01-01T00:00:00+23:59", "9999-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59-23:59",
		"2026-03-01T12:00:00,5Z", "2016-12-31T23:59:60Z", "now", "",
	} {
		seed(good, func(msg *nats.Msg) { msg.Header.Set(domain.HeaderAcceptedAt, acceptedAt) })
	}
	for _, body := range []string{"", "garbage", "{}", "null", `{"x":1}`, "{\"\xff\":1}", `{"~/\u0000":[]}`, `{"address":{"\n":{}}}`} {
		seed(good, func(msg *nats.Msg) { msg.Data = []byte(body) })
	}
	for _, id := range []string{"", "x", "\xff", strings.ToUpper(good.ID.String()), "urn:uuid:" + good.ID.String()} {
		seed(good, func(msg *nats.Msg) { msg.Subject = id })
	}
	for _, change := range []func(*nats.Msg){
		func(*nats.Msg) {},
		func(msg *nats.Msg) { msg.Header = nil },
		func(msg *nats.Msg) { msg.Header.Set(domain.HeaderCaller, "\x00\xff\r\n\u2028") },
		func(msg *nats.Msg) {
			msg.Header.Set(domain.HeaderFingerprint, strings.ToUpper(msg.Header.Get(domain.HeaderFingerprint)))
		},
		func(msg *nats.Msg) { msg.Header.Set(domain.HeaderFingerprint, strings.Repeat("0", 64)) },
	} {
		seed(good, change)
		seed(full, change)
	}

	f.Fuzz(func(t *testing.T, id, fingerprint, caller, acceptedAt string, body []byte) {
		msg := message{msg: &nats.Msg{Subject: domain.SubjectCreate + id, Data: body, Header: nats.Header{
			domain.HeaderFingerprint: {fingerprint}, domain.HeaderCaller: {caller}, domain.HeaderAcceptedAt: {acceptedAt},
		}}}
		command, err := decode(msg.msg)
		switch domain.CodeOf(err) {
		case domain.CodeUndecodable:
		case domain.CodeInvalid:
			if e, ok := errors.AsType[*domain.Error](err); !ok || len(e.Violations) == 0 {
				t.Errorf("invalid, but no rule is broken: %v", err)
			}
		default:
			if err != nil {
				t.Fatalf("%T without a code that it may have: %v", err, err)
			}
			saysTheSame(t, command, msg.msg)
			err = domain.Errorf(domain.CodeKeyReused, "as the store may find")
		}
		canBeRejected(t, msg, err)
	})
}

func decode(msg *nats.Msg) (domain.CreateClient, error) {
	return domain.CommandMessage{Subject: msg.Subject, Header: msg.Header, Body: msg.Data}.Decode()
}

// saysTheSame checks a command against the message that it was decoded from.
func saysTheSame(t *testing.T, c domain.CreateClient, msg *nats.Msg) {
	t.Helper()
	if id := strings.TrimPrefix(msg.Subject, domain.SubjectCreate); c.ID.String() != id {
		t.Errorf("id %s, want %s", c.ID, id)
	}
	if fingerprint := msg.Header.Get(domain.HeaderFingerprint); !strings.EqualFold(c.Fingerprint.String(), fingerprint) {
		t.Errorf("fingerprint %s, want %s", c.Fingerprint, fingerprint)
	}
	if caller := msg.Header.Get(domain.HeaderCaller); c.Caller != caller {
		t.Errorf("caller %q, want %q", c.Caller, caller)
	}
	acceptedAt, err := time.Parse(time.RFC3339, msg.Header.Get(domain.HeaderAcceptedAt))
	if err != nil || c.AcceptedAt != domain.Timestamp(acceptedAt) {
		t.Errorf("accepted at %s, want %s (%v)", c.AcceptedAt, acceptedAt, err)
	}
	if again, err := decode(messageOf(c)); err != nil || !reflect.DeepEqual(again, c) {
		t.Errorf("%v: decoded again\n got %+v\nwant %+v", err, again, c)
	}
}

// canBeRejected checks that a rejection of the message can be encoded, published and parsed.
func canBeRejected(t *testing.T, msg message, err error) {
	t.Helper()
	rejection := consumer.Reject(msg, err)
	body, err := rejection.JSON()
	if err != nil {
		t.Fatal(err)
	}
	if msg.size() <= maxCommand && len(body) > maxRejection {
		t.Errorf("a command of %d bytes has a rejection of %d", msg.size(), len(body))
	}
	got, err := domain.ParseRejection(body)
	if err != nil {
		t.Fatalf("%v\n%s", err, body)
	}
	if !msg.utf8() { // these two may differ then
		got.ID, got.Command.Headers = rejection.ID, rejection.Command.Headers
	}
	if len(got.Errors) == 0 || !reflect.DeepEqual(got, rejection) {
		t.Errorf("read\n got %+v\nwant %+v", got, rejection)
	}
}

// message is a delivered message without a server.
type message struct {
	jetstream.Msg

	msg *nats.Msg
}

func (m message) Subject() string      { return m.msg.Subject }
func (m message) Headers() nats.Header { return m.msg.Header }
func (m message) Data() []byte         { return m.msg.Data }
func (m message) Metadata() (*jetstream.MsgMetadata, error) {
	return &jetstream.MsgMetadata{NumDelivered: 3}, nil
}

func (m message) size() int { return m.msg.Size() }

func (m message) utf8() bool {
	valid := utf8.ValidString(m.msg.Subject)
	for _, values := range m.msg.Header {
		valid = valid && utf8.ValidString(values[0])
	}
	return valid
}
