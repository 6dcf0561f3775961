package domain_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"clientele/domain"
)

func TestError(t *testing.T) {
	tests := []struct {
		name string
		err  error
		code domain.Code
		text string
	}{
		{"of a code alone", &domain.Error{Code: domain.CodeNotFound}, domain.CodeNotFound, "not-found"},
		{"about another", domain.Errorf(domain.CodeLogFull, "publish: %w", io.EOF), domain.CodeLogFull, "publish: EOF"},
		{"wrapped", fmt.Errorf("ask: %w", domain.Errorf(domain.CodeUnknown, "late")), domain.CodeUnknown, "ask: late"},
		{"joined", errors.Join(io.EOF, domain.Errorf(domain.CodeUnavailable, "away")), domain.CodeUnavailable, "EOF\naway"},
		{"of violations", &domain.Error{Code: domain.CodeInvalid, Violations: []domain.Violation{
			{Pointer: "/a", Detail: "must be b"}, {Pointer: "/c/d", Detail: "is required"},
		}}, domain.CodeInvalid, "invalid: /a must be b; /c/d is required"},
		{"without a code", io.EOF, "", "EOF"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if code, text := domain.CodeOf(tt.err), tt.err.Error(); code != tt.code || text != tt.text {
				t.Errorf("got %q, %q, want %q, %q", code, text, tt.code, tt.text)
			}
		})
	}
	if !errors.Is(domain.Errorf(domain.CodeLogFull, "publish: %w", io.EOF), io.EOF) {
		t.Error("an Error hides what it wraps")
	}
	if code := domain.CodeOf(nil); code != "" {
		t.Errorf("nil has the code %q", code)
	}
}
