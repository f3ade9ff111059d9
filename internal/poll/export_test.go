package poll

// Room exports the pacing rule for its table test.
var Room = room
