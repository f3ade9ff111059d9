package mdesim

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// topMax is the documented maximum page, and the default without $top.
	topMax = 10_000

	// requestBytesMax bounds the body of a POST.
	requestBytesMax = 1 << 20
)

// serveList is GET /api/machineactions.
func (s *Simulator) serveList(w http.ResponseWriter, r *http.Request) {
	now := s.now()
	q, err := parseQuery(r.URL.Query())
	if err != nil {
		s.judge.broke("a list call is malformed: %v", err)
		refuse(w, http.StatusBadRequest, "ODataError", err.Error())
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []*action
	for _, a := range s.actions {
		if !a.CreatedAt.After(now) && q.matches(a, now) {
			found = append(found, a)
		}
	}
	slices.SortStableFunc(found, func(a, b *action) int {
		return a.CreatedAt.Compare(b.CreatedAt) * q.direction
	})
	total := len(found)
	size := q.top
	if s.faults.PageSize > 0 {
		size = min(size, s.faults.PageSize)
	}
	found = found[min(q.skip, total):]
	found = found[:min(size, len(found))]

	page := map[string]any{"@odata.context": s.config.APIOrigin + "/api/$metadata#MachineActions"}
	rows := []any{}
	for i, a := range found {
		rows = append(rows, s.row(a, now, i+q.skip))
	}
	if s.faults.SenselessRows && q.skip == 0 {
		rows = append(rows, senselessRows()...)
	}
	page["value"] = rows
	if q.count {
		page["@odata.count"] = total
	}
	if end := q.skip + len(found); end < total && !s.faults.NoNextLink {
		query := r.URL.Query()
		query.Set("$skip", strconv.Itoa(end))
		page["@odata.nextLink"] = s.config.APIOrigin + r.URL.Path + "?" + query.Encode()
	}
	answer(w, http.StatusOK, page)
}

// listQuery holds the parameters of a list call.
type listQuery struct {
	matches   predicate
	direction int // -1: newest first
	top, skip int
	count     bool
}

func parseQuery(values url.Values) (listQuery, error) {
	q := listQuery{
		matches:   func(*action, time.Time) bool { return true },
		direction: -1,
		top:       topMax,
		count:     values.Get("$count") == "true",
	}
	var err error
	if text := values.Get("$filter"); text != "" {
		q.matches, err = parseFilter(text)
		if err != nil {
			return q, err
		}
	}
	for name, target := range map[string]*int{"$top": &q.top, "$skip": &q.skip} {
		text := values.Get(name)
		if text == "" {
			continue
		}
		*target, err = strconv.Atoi(text)
		if err != nil || *target < 0 || (name == "$top" && *target > topMax) {
			return q, fmt.Errorf("%w: %s=%s", errFilter, name, text)
		}
	}
	order := strings.Fields(strings.ToLower(values.Get("$orderby")))
	if len(order) > 0 {
		if order[0] != "creationdatetimeutc" {
			return q, fmt.Errorf("%w: $orderby=%s", errFilter, order[0])
		}
		if len(order) == 1 || order[1] == "asc" {
			q.direction = 1
		}
	}
	return q, nil
}

// row is an action as the API writes it. variant makes rows differ as real ones do: in fractional
// digits, or a missing name.
func (s *Simulator) row(a *action, now time.Time, variant int) map[string]any {
	step := a.step(now)
	updated := a.CreatedAt.Add(time.Duration(step.After))
	row := map[string]any{
		"id": a.ID, "type": a.Type, "title": nil, "scope": nil, "requestor": a.Requestor,
		"requestorComment": a.Comment, "requestSource": a.Source, "commands": []any{},
		"status": step.Status, "machineId": a.MachineID, "computerDnsName": a.ComputerDNSName,
		"creationDateTimeUtc": netTime(a.CreatedAt, variant), "cancellationRequestor": nil,
		"cancellationComment": nil, "cancellationDateTimeUtc": nil, "errorHResult": 0,
		"relatedFileInfo": nil, "troubleshootInfo": nil,
		"lastUpdateDateTimeUtc": netTime(updated, variant+3), "externalId": nil,
	}
	if step.Status == "Pending" {
		row["computerDnsName"] = nil
	}
	if s.faults.OldNames {
		row["lastUpdateTimeUtc"], row["externalID"] = row["lastUpdateDateTimeUtc"], nil
		delete(row, "lastUpdateDateTimeUtc")
		delete(row, "externalId")
	}
	return row
}

// netTime formats an instant with 0 to 7 fractional digits, as .NET does.
func netTime(t time.Time, digits int) string {
	layout := "2006-01-02T15:04:05"
	if digits %= 8; digits > 0 {
		layout += "." + strings.Repeat("0", digits)
	}
	return t.UTC().Format(layout) + "Z"
}

// senselessRows are malformed rows; the sweep has to skip them.
func senselessRows() []any {
	return []any{
		nil,
		"a string",
		map[string]any{"type": typeCollect, "id": "../../etc/passwd", "status": statusSucceeded},
		map[string]any{"type": typeCollect, "id": IDOf("no machine"), "status": statusSucceeded},
		map[string]any{"type": typeCollect, "id": IDOf("no time"), "machineId": MachineOf("no time"),
			"creationDateTimeUtc": "yesterday", "status": statusSucceeded},
		map[string]any{"type": 7, "id": []any{}, "machineId": map[string]any{}},
	}
}

// serveAction is GET /api/machineactions/{id}.
func (s *Simulator) serveAction(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.find(r.PathValue("id"))
	if a == nil {
		refuseUnknown(w, r)
		return
	}
	answer(w, http.StatusOK, s.row(a, s.now(), 7))
}

func refuseUnknown(w http.ResponseWriter, r *http.Request) {
	refuse(w, http.StatusNotFound, "ResourceNotFound",
		"Machine action "+r.PathValue("id")+" was not found")
}

// serveCollect is POST /api/machines/{id}/collectInvestigationPackage.
func (s *Simulator) serveCollect(w http.ResponseWriter, r *http.Request) {
	var body map[string]any
	err := json.NewDecoder(io.LimitReader(r.Body, requestBytesMax)).Decode(&body)
	comment, ok := body["Comment"].(string)
	if err != nil || !ok || comment == "" {
		refuse(w, http.StatusBadRequest, "MissingRequiredParameter", "Comment is required.")
		return
	}
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	machine := strings.ToLower(r.PathValue("id"))
	for _, a := range s.actions {
		status := a.step(now).Status
		if a.MachineID == machine && a.Type == typeCollect &&
			(status == "Pending" || status == "InProgress") {
			refuse(w, http.StatusBadRequest, "ActiveRequestAlreadyExists", "Action is already in progress")
			return
		}
	}
	s.serial++
	a := &action{Action: Action{
		ID: IDOf("collected", s.serial, machine), Type: typeCollect, MachineID: machine,
		ComputerDNSName: "host-" + machine[:min(6, len(machine))] + ".contoso.com",
		Requestor:       s.config.ClientID, Comment: comment, Source: "PublicApi",
		CreatedAt: now, Steps: Succeeding(20 * time.Second), PackageSize: 1 << 20,
		PackageSeed: uint64(s.serial),
	}}
	a.pkg = newZipPackage(a.PackageSize, a.PackageSeed)
	s.actions = append(s.actions, a)
	answer(w, http.StatusCreated, s.row(a, now, 7))
}

// serveCancel is POST /api/machineactions/{id}/cancel.
func (s *Simulator) serveCancel(w http.ResponseWriter, r *http.Request) {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.find(r.PathValue("id"))
	if a == nil {
		refuseUnknown(w, r)
		return
	}
	switch a.step(now).Status {
	case "Pending", "InProgress":
		after := Duration(now.Sub(a.CreatedAt))
		a.Steps = append(slices.DeleteFunc(a.Steps, func(s Step) bool { return s.After > after }),
			Step{after, "Cancelled"})
		answer(w, http.StatusOK, s.row(a, now, 7))
	default:
		refuse(w, http.StatusBadRequest, "BadRequest", "The action is in a final state")
	}
}

// servePackageURI is GET /api/machineactions/{id}/getPackageUri. The limits were already checked.
func (s *Simulator) servePackageURI(w http.ResponseWriter, r *http.Request) {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.find(r.PathValue("id"))
	if a == nil {
		refuseUnknown(w, r)
		return
	}
	if a.Type != typeCollect || a.step(now).Status != statusSucceeded {
		s.judge.broke("getPackageUri was called for %s, which is %s", a.ID, a.step(now).Status)
		refuse(w, http.StatusNotFound, "NotFound", "The package is not ready")
		return
	}
	value := s.newLink(a, now)
	if s.faults.QuotedLinks {
		value = `"` + value + `"`
	}
	status := http.StatusOK
	if s.faults.Created {
		status = http.StatusCreated
	}
	answer(w, status, map[string]any{
		"@odata.context": s.config.APIOrigin + "/api/$metadata#Edm.String", "value": value,
	})
}

var errAdmin = errors.New("the request to the simulator is malformed")
