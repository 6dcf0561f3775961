package doctor

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"clientele/cmd/internal/inspect"
	"clientele/cmd/internal/process"
	"clientele/publisher/ingress/auth"
)

// certificateSoon is how long before its end a certificate should be renewed, and certificateNow how long before it must be.
const (
	certificateSoon = 30 * 24 * time.Hour
	certificateNow  = 7 * 24 * time.Hour
)

// certificates checks when the certificates of connections and files expire.
func certificates(_ context.Context, v *visit) (found []inspect.Finding) {
	expiry := map[string]time.Time{}
	if v.Conn != nil {
		if state, err := v.Conn.TLSConnectionState(); err == nil && len(state.PeerCertificates) > 0 {
			expiry["of NATS"] = state.PeerCertificates[0].NotAfter
		} else if v.Conn.IsConnected() && v.ServeDir == "" && !process.IsLoopback(v.Conn.ConnectedAddr()) {
			found = append(found, warn("the connection to NATS is not encrypted", "Include deploy/nats/tls.conf in its configuration", seeSecurity))
		}
	}
	expiry["of the database"] = v.description.CertificateExpires
	for _, s := range v.servers {
		expiry["of "+s.Name], expiry["of the routes of "+s.Name] = s.Certificate, s.Cluster.Certificate
	}
	for flag, path := range v.Certificates {
		at, err := firstExpiry(path)
		if err != nil {
			found = append(found, fail(fmt.Sprintf("the file of %s: %v", flag, err), "Correct the file or the flag", inspect.SeeKeys))
			continue
		}
		expiry["in the file of "+flag] = at
	}
	maps.DeleteFunc(expiry, func(_ string, at time.Time) bool { return at.IsZero() })
	return append(found, judgeCertificates(expiry, time.Now(), len(found) == 0)...)
}

// judgeCertificates judges when certificates expire. Without a problem, it says so if say is true.
func judgeCertificates(expiry map[string]time.Time, now time.Time, say bool) (found []inspect.Finding) {
	for _, name := range slices.Sorted(maps.Keys(expiry)) {
		left := expiry[name].Sub(now)
		text := fmt.Sprintf("the certificate %s expires on %s", name, expiry[name].UTC().Format(time.DateOnly))
		switch {
		case left < 0:
			found = append(found, fail(fmt.Sprintf("the certificate %s has expired", name), "Renew it", inspect.SeeKeys))
		case left < certificateNow:
			found = append(found, fail(text, "Renew it now", inspect.SeeKeys))
		case left < certificateSoon:
			found = append(found, warn(text, "Renew it", inspect.SeeKeys))
		}
	}
	switch {
	case len(found) > 0 || !say:
		return found
	case len(expiry) == 0:
		return []inspect.Finding{ok("no certificate is in use")}
	}
	first := slices.MinFunc(slices.Collect(maps.Values(expiry)), time.Time.Compare)
	return []inspect.Finding{ok("%d certificates, the first expires on %s", len(expiry), first.UTC().Format(time.DateOnly))}
}

// firstExpiry returns when the first certificate of a PEM file expires.
func firstExpiry(path string) (first time.Time, err error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return first, err
	}
	for len(content) > 0 {
		var found *pem.Block
		if found, content = pem.Decode(content); found == nil {
			break
		}
		if found.Type != "CERTIFICATE" {
			continue
		}
		certificate, err := x509.ParseCertificate(found.Bytes)
		if err != nil {
			return first, err
		}
		if first.IsZero() || certificate.NotAfter.Before(first) {
			first = certificate.NotAfter
		}
	}
	if first.IsZero() {
		return first, errors.New("it has no PEM certificate")
	}
	return first, nil
}

// keySoon is how long before its end an API key should be replaced.
const keySoon = 14 * 24 * time.Hour

// keys checks the keys file.
func keys(_ context.Context, v *visit) []inspect.Finding {
	if v.KeysFile == "" {
		return nil
	}
	_, all, err := auth.ReadKeysFile(v.KeysFile)
	if err != nil {
		return []inspect.Finding{fail(err.Error(), "Correct the file: after --keys-grace, every key is refused", inspect.SeeKeys)}
	}
	now := time.Now()
	valid := slices.DeleteFunc(slices.Clone(all), func(k auth.Key) bool { return k.Expired(now) })
	var soon []string
	for _, k := range valid {
		if k.Expired(now.Add(keySoon)) {
			soon = append(soon, fmt.Sprintf("%s of %s on %s", k.ID, k.Name, k.Expires.Format(time.DateOnly)))
		}
	}
	switch {
	case len(valid) == 0:
		return []inspect.Finding{fail(fmt.Sprintf("none of its %d keys is valid, so every caller is refused", len(all)), "Run clientele keys new", inspect.SeeKeys)}
	case len(soon) > 0:
		return []inspect.Finding{warn(fmt.Sprintf("keys expire soon: %v", soon), "Create a second key for the caller, then revoke the first", inspect.SeeKeys)}
	}
	return []inspect.Finding{ok("%d keys are valid, %d have expired", len(valid), len(all)-len(valid))}
}
