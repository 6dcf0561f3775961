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

// Proxy stands between a process and a server. It makes the network's weather: what its methods bring lasts until heal.
type Proxy struct {
	t        testing.TB
	proxy    *toxiproxy.Proxy
	upstream string // HOST:PORT of the server
}

// NewProxy returns a proxy in fine weather for the server that the URL names.
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
		p.proxy.Toxics.ResetToxics(context.Background()) // lets go of the connections that void holds
	})
	return p
}

// Instead returns the URL, or whatever holds it, with the proxy in the place of the server.
func (p *Proxy) Instead(of string) string {
	return strings.ReplaceAll(of, p.upstream, p.proxy.Listen)
}

// Cut closes every connection and takes no new one.
func (p *Proxy) Cut() { p.proxy.Stop() }

// Reset has every connection end abruptly as soon as something is sent on it, new ones with an RST.
func (p *Proxy) Reset() { p.add("reset_peer", "upstream", `{"timeout":0}`) }

// LoseAnswers loses what the server sends; requests arrive.
func (p *Proxy) LoseAnswers() { p.add("void", "downstream", `{}`) }

// LoseRequests loses what is sent to the server.
func (p *Proxy) LoseRequests() { p.add("void", "upstream", `{}`) }

// Lose loses everything, ends of connections included: neither side hears of the other again.
func (p *Proxy) Lose() {
	p.LoseRequests()
	p.LoseAnswers()
}

// Delay has what the server sends arrive later.
func (p *Proxy) Delay(latency time.Duration) {
	p.add("latency", "downstream", fmt.Sprintf(`{"latency":%d}`, latency.Milliseconds()))
}

// Heal makes the weather fine again. Connections on which something was lost are closed: TCP would have sent it again.
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

// void is a toxic in which everything vanishes. Toxiproxy's own timeout toxic passes on that a connection has ended, which
// a cable that was pulled out does not.
type void struct{}

var registerVoid = sync.OnceFunc(func() { toxics.Register("void", new(void)) })

// Pipe is called by toxiproxy.
func (*void) Pipe(stub *toxics.ToxicStub) {
	for {
		select {
		case <-stub.Interrupt:
			return
		case chunk := <-stub.Input:
			if chunk == nil { // and it would be again, for ever
				<-stub.Interrupt
				return
			}
		}
	}
}

// Cleanup is called by toxiproxy when it takes the toxic away.
func (*void) Cleanup(stub *toxics.ToxicStub) { stub.Close() }
