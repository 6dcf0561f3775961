package cli

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"clientele/cmd/internal/process"
	"clientele/domain"
	"clientele/publisher/audit"
	"clientele/publisher/endpoint"
	"clientele/publisher/endpoint/control"

	"github.com/nats-io/nats.go/jetstream"
)

// webhookArg is the name of an endpoint.
type webhookArg struct {
	Name string `arg:"" help:"Name of the webhook."`
}

func (a webhookArg) validate() error { return subscriptionArg(a).validate() }

// webhookFlags are the flags of a command that changes an endpoint.
type webhookFlags struct {
	operatorFlags `embed:"" group:"nats"`
	auditFlags    `embed:""`
}

// open opens the bucket of endpoints. The caller closes the connection of the JetStream.
func (f webhookFlags) open(e env) (jetstream.JetStream, *endpoint.Bucket, error) {
	js, err := f.jetStream(e)
	if err != nil {
		return nil, nil, err
	}
	bucket, err := endpoint.Open(e.ctx, js)
	if err != nil {
		js.Conn().Close()
		return nil, nil, err
	}
	return js, bucket, nil
}

// opened is an endpoint that exists, with its connection.
type opened struct{ control.Webhook }

func (o opened) close() { o.JetStream.Conn().Close() }

// openOne opens an endpoint, or returns an *endpoint.MissingError. The caller closes it.
func (f webhookFlags) openOne(e env, name string) (o opened, err error) {
	js, err := f.jetStream(e)
	if err != nil {
		return o, err
	}
	if o.Webhook, err = control.Open(e.ctx, js, name); err != nil {
		js.Conn().Close()
	}
	return o, err
}

// recorded opens an endpoint and the audit trail, and acts on it.
func (f webhookFlags) recorded(e env, name string, act func(opened, *audit.Recorder) error) error {
	o, err := f.openOne(e, name)
	if err != nil {
		return err
	}
	defer o.close()
	trail, err := f.recorder(e.ctx, o.JetStream.Conn())
	if err != nil {
		return err
	}
	return act(o, trail)
}

// change records and carries out an action on an endpoint that exists, and prints what was done.
func (f webhookFlags) change(e env, name string, action domain.AuditAction, done string, do func(opened) error) error {
	err := f.recorded(e, name, func(o opened, trail *audit.Recorder) error {
		return trail.Act(e.ctx, domain.AuditRecord{Action: action, Target: name}, func(*domain.AuditRecord) error { return do(o) })
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.stderr, done+"\n", name)
	return err
}

// receiverFlags are the settings of an endpoint that an operator can change. A setting that is nil keeps its value.
type receiverFlags struct {
	GiveUpAfter  *time.Duration `placeholder:"DURATION" help:"How long an event may fail while others succeed, before it is given up (24h); 0s: never give up."`
	DisableAfter *time.Duration `placeholder:"DURATION" help:"How long all events may fail, before the webhook is disabled (120h, 5 days); 0s: never disable."`
	InFlight     *int           `placeholder:"N" help:"Maximum requests of a process at once (16)."`

	InsecureHTTP bool `name:"insecure-http" help:"Accept an http URL that is not on loopback: events are sent unencrypted."`
}

// The defaults of receiverFlags.
const (
	defaultGiveUpAfter  = endpoint.Duration(24 * time.Hour)
	defaultDisableAfter = endpoint.Duration(5 * 24 * time.Hour)
	defaultInFlight     = 16
)

func (f receiverFlags) validate() error {
	switch {
	case f.GiveUpAfter != nil && *f.GiveUpAfter < 0:
		return errors.New("--give-up-after must not be negative")
	case f.DisableAfter != nil && *f.DisableAfter < 0:
		return errors.New("--disable-after must not be negative")
	case f.InFlight != nil && (*f.InFlight < 1 || *f.InFlight > 1000):
		return errors.New("--in-flight must be from 1 to 1000")
	}
	return nil
}

// checkURL refuses a URL to which events cannot be posted, or not safely.
func (f receiverFlags) checkURL(text string) error {
	const longest = 2000
	to, err := url.Parse(text)
	switch {
	case err != nil || to.Host == "" || to.Scheme != "http" && to.Scheme != "https" || len(text) > longest:
		return errors.New("the URL must be an HTTP or HTTPS URL, such as https://crm.example.com/clients")
	case to.Scheme == "http" && !f.InsecureHTTP && !process.IsLoopback(to.Host):
		return fmt.Errorf("refusing to send events to %s unencrypted: use an HTTPS URL, or pass --insecure-http", to.Host)
	}
	return nil
}

// apply changes settings.
func (f receiverFlags) apply(s *endpoint.Settings) {
	if f.GiveUpAfter != nil {
		s.GiveUpAfter = endpoint.Duration(*f.GiveUpAfter)
	}
	if f.DisableAfter != nil {
		s.DisableAfter = endpoint.Duration(*f.DisableAfter)
	}
	if f.InFlight != nil {
		s.InFlight = *f.InFlight
	}
}

// secretFlag is the secret of an endpoint.
type secretFlag struct {
	SecretFile secretFile `predictor:"file" placeholder:"FILE" help:"File with the secret that signs events (Standard Webhooks): whsec_ and base64, or any text of at least 16 bytes. By default, a random one is printed."`
}

// key returns the signing key, and the secret to print, which is "" for one from a file.
func (f secretFlag) key() (key []byte, generated string, err error) {
	secret := string(f.SecretFile)
	if secret == "" {
		generated = endpoint.NewSecret()
		secret = generated
	}
	if key, err = endpoint.ParseSecret(secret); err != nil {
		err = &usageError{"--secret-file: " + err.Error()}
	}
	return key, generated, err
}

// printSecret prints a generated secret alone on standard output, for scripts.
func printSecret(e env, generated string) error {
	if generated == "" {
		return nil
	}
	if _, err := fmt.Fprintln(e.stdout, generated); err != nil {
		return fmt.Errorf("print the secret: %w", err)
	}
	_, err := fmt.Fprintln(e.stderr, "Give this secret to the receiver: it is not shown again.")
	return err
}
