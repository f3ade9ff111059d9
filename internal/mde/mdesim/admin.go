package mdesim

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
)

// serveVerdict is GET /_sim/verdict: it returns the judge's verdict.
func (s *Simulator) serveVerdict(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, s.judge.Verdict())
}

// serveFaults is PUT /_sim/faults: it replaces the fault switches.
func (s *Simulator) serveFaults(w http.ResponseWriter, r *http.Request) {
	var faults Faults
	if !decode(w, r, &faults) {
		return
	}
	s.SetFaults(faults)
	w.WriteHeader(http.StatusNoContent)
}

// serveAdd is POST /_sim/actions: it adds an action.
func (s *Simulator) serveAdd(w http.ResponseWriter, r *http.Request) {
	var a Action
	if !decode(w, r, &a) {
		return
	}
	s.mu.Lock()
	taken := s.find(a.ID) != nil
	s.mu.Unlock()
	if taken || a.ID == "" || a.MachineID == "" {
		refuse(w, http.StatusBadRequest, "BadRequest", "an action needs an unused id and a machine")
		return
	}
	s.Add(a)
	w.WriteHeader(http.StatusCreated)
}

// decode reads the body of a control request. If that fails, it answers the request and returns
// false.
func decode(w http.ResponseWriter, r *http.Request, body any) bool {
	decoder := json.NewDecoder(io.LimitReader(r.Body, requestBytesMax))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(body)
	if err != nil {
		refuse(w, http.StatusBadRequest, "BadRequest", fmt.Sprintf("%v: %v", errAdmin, err))
	}
	return err == nil
}

// discardLog drops net/http's messages about clients that disconnect: the judge has seen them.
func discardLog() *log.Logger { return log.New(io.Discard, "", 0) }
