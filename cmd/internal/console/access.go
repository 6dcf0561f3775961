package console

import (
	"errors"
	"net"
	"net/http"
	"strings"
	"time"

	"clientele/domain"
	"clientele/publisher/audit"
	"clientele/publisher/ingress/auth"
)

const (
	// maxToken is the maximum length of a token in bytes.
	maxToken = 8 << 10
	// maxForm is the maximum size of a form: a page of selected rejections fits.
	maxForm = 64 << 10
)

// securityPolicy lets a page load from its own server only. No script and no style is in the page itself.
const securityPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; " +
	"base-uri 'none'; frame-ancestors 'none'"

// fromOtherPage reports whether a page of another site, or of another port of this machine, has a browser read from the console in the
// background, such as an image. A link to the console is a navigation.
func fromOtherPage(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	return (site == "cross-site" || site == "same-site") && r.Header.Get("Sec-Fetch-Mode") != "navigate"
}

// guard protects against web pages of other sites, which reach the console through the browser of an operator, even on loopback. See
// access.Middleware of the API.
func (c *Console) guard(next http.Handler) http.Handler {
	refuse := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.refuse(visitor{address: addressOf(r)}, "cross_origin")
		http.Error(w, "the console refuses requests from pages of other sites", http.StatusForbidden)
	})
	protection := http.NewCrossOriginProtection()
	protection.SetDenyHandler(refuse)
	next = protection.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", securityPolicy)
		header.Set("Cross-Origin-Opener-Policy", "same-origin")
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Cache-Control", "no-store")
		if r.TLS != nil {
			header.Set("Strict-Transport-Security", "max-age=31536000")
		}
		if c.allowHost != nil && !c.allowHost(r.Host) {
			http.Error(w, "the console does not accept requests for this host", http.StatusMisdirectedRequest)
			return
		}
		if fromOtherPage(r) {
			refuse(w, r)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		next.ServeHTTP(w, r)
	})
}

func addressOf(r *http.Request) string {
	address, _, _ := net.SplitHostPort(r.RemoteAddr)
	return address
}

// refuse records a refused request.
func (c *Console) refuse(v visitor, reason domain.AuditResult) {
	record := v.record(domain.AuditRefused)
	if record.Result = reason; v.Name == "" {
		record.Actor = domain.AuditActor{Kind: domain.AuditCaller} // unknown
	}
	c.cfg.Audit.Collect(record)
}

// handlerFunc handles a request of a visitor.
type handlerFunc func(http.ResponseWriter, *http.Request, visitor)

// allow returns a handler for visitors that have one of the scopes.
func (c *Console) allow(handler handlerFunc, oneOf ...auth.Scope) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v, err := c.visitor(r)
		switch {
		case errors.Is(err, auth.ErrInvalidToken):
			w.Header().Set("WWW-Authenticate", `Bearer realm="clientele"`)
			c.signInPage(w, http.StatusUnauthorized, "")
		case err != nil:
			c.unavailable(w, v, err)
		case !v.May(oneOf...):
			c.refuse(v, "insufficient_scope")
			c.fail(w, v, http.StatusForbidden, "This requires the scope "+string(oneOf[0])+".")
		default:
			handler(w, r, v)
		}
	})
}

// look is allow for pages that change nothing and have no personal data.
func (c *Console) look(handler handlerFunc) http.Handler {
	return c.allow(handler, auth.ScopeOperatorRead, auth.ScopeOperator)
}

// act is allow for what changes something or shows personal data.
func (c *Console) act(handler handlerFunc) http.Handler { return c.allow(handler, auth.ScopeOperator) }

// visitor returns who sends a request: by its Authorization header, or by its session. The token of a session is checked again, so that
// a key that was revoked ends it. The error is auth.ErrInvalidToken if nobody is known to send it.
func (c *Console) visitor(r *http.Request) (visitor, error) {
	v := visitor{address: addressOf(r)}
	token := ""
	if header := r.Header.Get("Authorization"); header != "" {
		scheme, credentials, _ := strings.Cut(header, " ")
		if token = strings.TrimLeft(credentials, " "); !strings.EqualFold(scheme, "Bearer") || len(token) > maxToken {
			return v, auth.ErrInvalidToken
		}
	} else if cookie, err := r.Cookie(c.cookieName()); err == nil {
		if token = c.sessions.token(cookie.Value, time.Now()); token != "" {
			v.session = cookie.Value
		}
	}
	caller, err := c.cfg.Authenticator.Authenticate(r.Context(), token)
	if errors.Is(err, auth.ErrInvalidToken) {
		if token != "" {
			c.refuse(v, "invalid_token")
		}
		c.sessions.end(v.session)
		return visitor{address: v.address}, err
	}
	return c.named(v, caller), err
}

// named completes a visitor with the caller that its token belongs to.
func (c *Console) named(v visitor, caller auth.Caller) visitor {
	v.Caller = caller
	v.actor = domain.AuditActor{Kind: domain.AuditOperator, Name: caller.Name, KeyID: caller.KeyID, Host: audit.HostName()}
	return v
}

// cookieName returns the name of the cookie. With this prefix, browsers accept it over TLS from this host only.
func (c *Console) cookieName() string {
	if c.secure {
		return "__Host-clientele-console"
	}
	return "clientele-console"
}

// cookie returns the cookie of a session. A life of -1 removes it.
func (c *Console) cookie(session string, life int) *http.Cookie {
	return &http.Cookie{ //nolint:gosec // without TLS it cannot be Secure
		Name: c.cookieName(), Value: session, Path: "/", MaxAge: life, Secure: c.secure, HttpOnly: true, SameSite: http.SameSiteStrictMode,
	}
}

// signInPage writes the page on which a browser signs in.
func (c *Console) signInPage(w http.ResponseWriter, status int, failure string) {
	c.render(w, status, "signin.html", struct {
		page
		Failure string
	}{c.page(visitor{}, "Sign in", ""), failure})
}

// signIn is POST /sign-in.
func (c *Console) signIn(w http.ResponseWriter, r *http.Request) {
	token := strings.TrimSpace(r.PostFormValue("token"))
	v := visitor{address: addressOf(r)}
	if len(token) > maxToken || token == "" {
		c.signInPage(w, http.StatusUnauthorized, "Paste an API key or a token.")
		return
	}
	caller, err := c.cfg.Authenticator.Authenticate(r.Context(), token)
	v = c.named(v, caller)
	switch {
	case errors.Is(err, auth.ErrInvalidToken):
		c.refuse(visitor{address: v.address}, "invalid_token")
		c.signInPage(w, http.StatusUnauthorized, "The key or token is not valid.")
	case err != nil:
		c.signInPage(w, http.StatusServiceUnavailable, "The key or token cannot be checked at the moment. Try again later.")
	case !v.mayLook():
		c.refuse(v, "insufficient_scope")
		c.signInPage(w, http.StatusForbidden, "The key or token has neither the scope operator nor operator:read.")
	default:
		http.SetCookie(w, c.cookie(c.sessions.begin(token, time.Now()), int(sessionLife/time.Second)))
		http.Redirect(w, r, "/", http.StatusSeeOther)
	}
}

// signOut is POST /sign-out.
func (c *Console) signOut(w http.ResponseWriter, r *http.Request, v visitor) {
	c.sessions.end(v.session)
	http.SetCookie(w, c.cookie("", -1))
	http.Redirect(w, r, "/", http.StatusSeeOther)
}
