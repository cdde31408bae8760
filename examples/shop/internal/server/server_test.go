package server

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"example.com/shop/internal/catalog"
)

func TestHealth(t *testing.T) {
	answer := get(t, "/healthz")
	if answer.Code != http.StatusOK || answer.Body.String() != "ok\n" {
		t.Errorf("got %d %q", answer.Code, answer.Body)
	}
	if answer.Header().Get("X-Request-Id") == "" {
		t.Error("the answer has no id")
	}
}

func TestItems(t *testing.T) {
	if body := get(t, "/items").Body.String(); !strings.Contains(body, `"cents":450`) {
		t.Errorf("got %s", body)
	}
}

func get(t *testing.T, path string) *httptest.ResponseRecorder {
	t.Helper()
	answer := httptest.NewRecorder()
	handler := New([]catalog.Item{{Name: "tea", Price: 450}})
	handler.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, path, nil))
	return answer
}
