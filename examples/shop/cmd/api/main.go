// Command api serves the shop's catalogue over HTTP.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"example.com/shop/internal/catalog"
	"example.com/shop/internal/server"
	"example.com/shop/internal/settings"
)

// version is set by the linker where a release wants it in the program.
var version = "dev"

func main() {
	file := flag.String("config", "", "the settings file (YAML)")
	showVersion := flag.Bool("version", false, "print the version and the platform, and exit")
	flag.Parse()
	if *showVersion || flag.Arg(0) == "version" {
		fmt.Printf("shop api %s %s/%s\n", version, runtime.GOOS, runtime.GOARCH)
		return
	}
	if err := run(*file); err != nil {
		log.Fatal(err)
	}
}

func run(file string) error {
	chosen, err := settings.Load(file)
	if err != nil {
		return err
	}
	items, err := catalog.Load()
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	web := &http.Server{Addr: chosen.Listen, Handler: server.New(items), ReadHeaderTimeout: 5 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- web.ListenAndServe() }()
	log.Printf("%s listens on %s", chosen.Name, chosen.Listen)
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	ending, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := web.Shutdown(ending); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
