package testcluster

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/Shopify/toxiproxy/v2/toxics"
	"github.com/rs/zerolog"
)

// Proxy is between a process and a server. Its methods break the network until Heal is called.
type Proxy struct {
	t        testing.TB
	proxy    *toxiproxy.Proxy
	upstream string // HOST:PORT of the server
}

// NewProxy returns a proxy for the server of the URL. At first it passes everything on.
func NewProxy(t testing.TB, server string) *Proxy {
	t.Helper()
	registerVoid()
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	toxi := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	p := &Proxy{t: t, proxy: toxiproxy.NewProxy(toxi, t.Name(), "127.0.0.1:0", u.Host), upstream: u.Host}
	if err := p.proxy.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.proxy.Stop()
		p.proxy.Toxics.ResetToxics(context.Background()) // ends the connections that void holds
	})
	return p
}

// Instead returns the text with the address of the server replaced by that of the proxy.
func (p *Proxy) Instead(of string) string {
	return strings.ReplaceAll(of, p.upstream, p.proxy.Listen)
}

// Cut closes every connection and accepts no new one.
func (p *Proxy) Cut() { p.proxy.Stop() }

// Reset ends each connection with an RST as soon as something is sent on it.
func (p *Proxy) Reset() { p.add("reset_peer", "upstream", `{"timeout":0}`) }

// LoseAnswers loses everything that the server sends. Requests arrive.
func (p *Proxy) LoseAnswers() { p.add("void", "downstream", `{}`) }

// LoseRequests loses everything that is sent to the server.
func (p *Proxy) LoseRequests() { p.add("void", "upstream", `{}`) }

// Lose loses everything, including the ends of connections.
func (p *Proxy) Lose() {
	p.LoseRequests()
	p.LoseAnswers()
}

// Delay delays everything that the server sends.
func (p *Proxy) Delay(latency time.Duration) {
	p.add("latency", "downstream", fmt.Sprintf(`{"latency":%d}`, latency.Milliseconds()))
}

// Heal makes the proxy pass everything on again. It closes connections that lost data, which TCP would have sent again.
func (p *Proxy) Heal() {
	p.t.Helper()
	p.proxy.Toxics.ResetToxics(context.Background())
	if err := p.proxy.Start(); err != nil && !errors.Is(err, toxiproxy.ErrProxyAlreadyStarted) {
		p.t.Fatal(err)
	}
}

func (p *Proxy) add(toxic, stream, attributes string) {
	p.t.Helper()
	definition := fmt.Sprintf(`{"type":%q,"stream":%q,"attributes":%s}`, toxic, stream, attributes)
	if _, err := p.proxy.Toxics.AddToxicJson(strings.NewReader(definition)); err != nil {
		p.t.Fatal(err)
	}
}

// void is a toxic that drops everything. Toxiproxy's own timeout toxic passes on the end of a connection, which an unplugged cable
// does not.
type void struct{}

var registerVoid = sync.OnceFunc(func() { toxics.Register("void", new(void)) })

// Pipe is called by toxiproxy.
func (*void) Pipe(stub *toxics.ToxicStub) {
	for {
		select {
		case <-stub.Interrupt:
			return
		case chunk := <-stub.Input:
			if chunk == nil { // the input is closed
				<-stub.Interrupt
				return
			}
		}
	}
}

// Cleanup is called by toxiproxy when it removes the toxic.
func (*void) Cleanup(stub *toxics.ToxicStub) { stub.Close() }
