// Package server answers HTTP requests.
package server

import (
	"encoding/json"
	"net/http"

	"github.com/google/uuid"

	"example.com/shop/internal/catalog"
)

// New returns the shop's handler: /healthz, /items, and an id on each answer.
func New(items []catalog.Item) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("ok\n"))
	})
	mux.HandleFunc("GET /items", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(items)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Request-Id", uuid.NewString())
		mux.ServeHTTP(w, r)
	})
}
