package poll

// Room opens the pacing rule to its table test.
var Room = room
