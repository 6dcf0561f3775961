// Subscriber welcomes each new client once.
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func main() {
	natsURL := flag.String("nats-url", cmp.Or(os.Getenv("NATS_URL"), nats.DefaultURL), "NATS `URL`; $NATS_URL is its default")
	file := flag.String("welcomed", "welcomed.txt", "`file` of processed events")
	flag.Parse()
	if err := run(*natsURL, *file); err != nil {
		log.Fatal(err)
	}
}

func run(natsURL, path string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND|os.O_SYNC, 0o600)
	if err != nil {
		return err
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	w := welcomer{file: file, seen: map[string]bool{}}
	for line := range strings.Lines(string(content)) {
		w.seen[strings.Fields(line)[0]] = true
	}
	// An outage of the server must not end a subscriber. A refused password closes the connection, and must end it.
	nc, err := nats.Connect(natsURL, nats.MaxReconnects(-1), nats.ClosedHandler(func(*nats.Conn) { stop() }))
	if err != nil {
		return fmt.Errorf("connect to NATS: %w", err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	// A durable consumer remembers its position while the subscriber is stopped. If you keep copies of clients, consume
	// client.erased too, and delete them.
	consumer, err := js.Consumer(ctx, "CLIENT_EVENTS", "mailer")
	if err != nil {
		return fmt.Errorf("open the consumer, which clientele events subscribe mailer --only created creates: %w", err)
	}
	log.Printf("waiting for client.created; %s has %d processed events", path, len(w.seen))
	subscription, err := consumer.Consume(func(event jetstream.Msg) {
		// event.Data() is the record. It is empty if the consumer has --event-fields id-only: get the client from the API then.
		if err := w.welcome(event.Headers().Get("ce-id"), event.Headers().Get("ce-subject")); err != nil {
			log.Printf("%v; the event will be delivered again", err)
			_ = event.NakWithDelay(time.Second)
			return
		}
		_ = event.Ack() // if the ack is lost, the event is delivered again, and its ce-id is known
	})
	if err != nil {
		return fmt.Errorf("consume events: %w", err)
	}
	<-ctx.Done()
	if nc.IsClosed() {
		return fmt.Errorf("lost the connection to NATS: %w", nc.LastError())
	}
	subscription.Drain() // processes the events that have arrived
	<-subscription.Closed()
	return nc.Flush() // their acks
}

// welcomer writes its work and the ce-id in one write, so that a crash cannot separate them. With a database, use a transaction.
type welcomer struct {
	file *os.File
	seen map[string]bool
}

func (w welcomer) welcome(event, client string) error {
	if w.seen[event] {
		return nil
	}
	if _, err := fmt.Fprintf(w.file, "%s welcomed client %s\n", event, client); err != nil {
		return err
	}
	w.seen[event] = true
	log.Printf("welcomed client %s", client) // the id only: logs are no place for personal data
	return nil
}
