// A server of Go's own library behind the router chi: one static program.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
)

func main() {
	router := chi.NewRouter()
	router.Use(middleware.Recoverer)
	router.Get("/sum/{a}/{b}", func(response http.ResponseWriter, request *http.Request) {
		var a, b int
		if _, err := fmt.Sscan(chi.URLParam(request, "a")+" "+chi.URLParam(request, "b"), &a, &b); err != nil {
			http.Error(response, "two numbers, please", http.StatusBadRequest)
			return
		}
		json.NewEncoder(response).Encode(map[string]int{"sum": a + b, "pid": os.Getpid()})
	})
	router.Get("/panic", func(http.ResponseWriter, *http.Request) { panic("a handler that panics") })

	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM)
	go func() {
		<-end
		log.Print("asked to end")
		os.Exit(0)
	}()
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), router))
}
