package fetch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"

	"packhorse/internal/event"
	"packhorse/internal/investigation"
)

// Answer is the result of an invocation. The metrics are derived from it.
type Answer struct {
	Outcome  Outcome `json:"outcome"`
	ActionID string  `json:"actionId,omitempty"`
	Reason   string  `json:"reason,omitempty"` // if refused, postponed or not collected

	Cause investigation.Cause `json:"cause,omitempty"` // if postponed
	// Strangers is how many objects under the action's keys are not ours.
	Strangers int `json:"strangers,omitempty"`

	Key string `json:"key,omitempty"` // of the package; if concluded, of the manifest
	// If archived:
	Bytes        int64   `json:"bytes,omitempty"`
	ReadySeconds float64 `json:"readySeconds,omitempty"` // from ready to archived
}

// Handle handles one event from the bus, like [Handler.Handle].
type Handle func(ctx context.Context, e event.Envelope) (Answer, error)

// Handler turns a Ready event into a fetch, and a Decided event into a conclusion.
type Handler struct {
	tenants *Tenants
	logger  *slog.Logger
}

// NewHandler returns a Handler for the tenants' events.
func NewHandler(tenants *Tenants, logger *slog.Logger) *Handler {
	return &Handler{tenants: tenants, logger: logger}
}

// Handle fetches the package of the event's action, or concludes the action. It refuses an event that is
// not for this function, or whose action needs no work: it logs a line and spends no call, and does not
// return an error, because a retry would not help. An error means that the result of a fetch could not be
// written to the ledger, and its lease has to run out; or that nothing was done, and the action will be handed
// over again: its tenant could not be looked up, the preflight failed, or it could not be concluded.
func (h *Handler) Handle(ctx context.Context, e event.Envelope) (Answer, error) {
	id, err := actionOf(e)
	if err != nil {
		return h.refuse(ctx, slog.LevelError, id, err), nil
	}
	fetcher, err := h.tenants.Fetcher(ctx, id.TenantID)
	switch {
	case errors.Is(err, ErrUnknownTenant):
		return h.refuse(ctx, slog.LevelError, id, err), nil
	case errors.Is(err, ErrSuspended):
		return h.refuse(ctx, slog.LevelInfo, id, err), nil
	case err != nil:
		return Answer{}, err
	}
	err = fetcher.before.Run(ctx)
	switch {
	case err != nil:
		return Answer{}, fmt.Errorf("tenant %s: %w", id.TenantID, err)
	case e.DetailType == event.TypeDecided:
		return h.answer(ctx, id, fetcher.Conclude(ctx, id))
	default:
		return h.answer(ctx, id, fetcher.Fetch(ctx, id))
	}
}

// answer logs the result for an action and turns it into an Answer.
func (h *Handler) answer(ctx context.Context, id investigation.ID, r Result) (Answer, error) {
	rec := r.Record
	answer := Answer{Outcome: r.Outcome, ActionID: id.ActionID, Strangers: rec.Strangers.Count()}
	switch r.Outcome {
	case OutcomeArchived:
		return h.archived(ctx, answer, r), nil
	case OutcomeNotCollected:
		h.logger.WarnContext(ctx, "the package was not collected", slog.String("tenantId", id.TenantID), slog.String("actionId", id.ActionID),
			slog.String("reason", string(rec.Reason)), slog.String("explanation", rec.Message))
		answer.Reason = string(rec.Reason)
	case OutcomeConcluded:
		h.logger.InfoContext(ctx, "the action is concluded", slog.String("tenantId", id.TenantID), slog.String("actionId", id.ActionID),
			slog.String("manifest", rec.ManifestKey), slog.Int64("sequence", rec.Seal.Sequence))
		answer.Key = rec.ManifestKey
	case OutcomePostponed:
		answer.Reason, answer.Cause = r.Err.Error(), causeOf(r.Err)
		h.logger.WarnContext(ctx, "the fetch is postponed", slog.String("tenantId", id.TenantID), slog.String("actionId", id.ActionID),
			slog.Time("dueAt", rec.DueAt), slog.String("cause", string(answer.Cause)),
			slog.String("error", r.Err.Error()))
	case OutcomeRefused:
		return h.refuse(ctx, refusalLevel(r.Err), id, r.Err), nil
	default:
		return Answer{}, r.Err
	}
	return answer, nil
}

// refusalLevel returns Info for refusals that the design expects, and Error for those that somebody should
// look into. A Ready event may arrive twice, and two pollers on one ledger both hand over what they find.
func refusalLevel(err error) slog.Level {
	_, taken := errors.AsType[*investigation.NotClaimableError](err)
	if taken || errors.Is(err, ErrElsewhere) {
		return slog.LevelInfo
	}
	return slog.LevelError
}

// archived logs that the package is stored. If the action could not be concluded, the poller will hand
// it over again.
func (h *Handler) archived(ctx context.Context, answer Answer, r Result) Answer {
	rec := r.Record
	if r.Err != nil {
		h.logger.WarnContext(ctx, "the package is stored, but the action is not concluded yet",
			slog.String("tenantId", rec.TenantID), slog.String("actionId", rec.ActionID), slog.String("error", r.Err.Error()))
	}
	answer.Key, answer.Bytes = rec.Receipt.Key, rec.Receipt.Size
	answer.ReadySeconds = rec.ArchivedAt.Sub(rec.CompletedAt()).Seconds()
	h.logger.InfoContext(ctx, "the package is archived", slog.String("tenantId", rec.TenantID), slog.String("actionId", rec.ActionID),
		slog.String("key", answer.Key), slog.Int64("bytes", answer.Bytes),
		slog.String("sha256", rec.Receipt.SHA256), slog.Int("attempts", rec.Attempts),
		slog.Float64("readySeconds", answer.ReadySeconds))
	return answer
}

func (h *Handler) refuse(ctx context.Context, level slog.Level, id investigation.ID, err error) Answer {
	h.logger.Log(ctx, level, "the event was refused, nothing was done", slog.String("tenantId", id.TenantID),
		slog.String("actionId", id.ActionID), slog.String("error", err.Error()))
	return Answer{Outcome: OutcomeRefused, ActionID: id.ActionID, Reason: err.Error()}
}

// actionOf returns the action an event is about, or an error if the event is not for this function.
func actionOf(e event.Envelope) (investigation.ID, error) {
	ours := e.DetailType == event.TypeReady || e.DetailType == event.TypeDecided
	if e.Source != event.Source || !ours {
		return investigation.ID{}, fmt.Errorf("the event is %.64q of %.64q, not %q or %q of %q",
			e.DetailType, e.Source, event.TypeReady, event.TypeDecided, event.Source)
	}
	var detail event.Work
	err := json.Unmarshal(e.Detail, &detail)
	switch {
	case err != nil:
		return investigation.ID{}, fmt.Errorf("decode the event's detail: %w", err)
	case detail.Version != event.Version:
		return investigation.ID{}, fmt.Errorf("the event has version %.16q, not %q", detail.Version,
			event.Version)
	}
	tenantID, err := investigation.CanonicalID(detail.TenantID)
	if err != nil {
		return investigation.ID{}, fmt.Errorf("read the event's tenant: %w", err)
	}
	action, err := investigation.CanonicalID(detail.ActionID)
	if err != nil {
		return investigation.ID{}, fmt.Errorf("read the event's action: %w", err)
	}
	return investigation.ID{TenantID: tenantID, ActionID: action}, nil
}
