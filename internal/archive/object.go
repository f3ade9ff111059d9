package archive

import (
	"maps"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"packhorse/internal/investigation"
)

const (
	packageType    = "application/zip"
	quarantineType = "application/octet-stream"
)

// object is an object to be stored: its key, metadata and lock.
type object struct {
	key         string
	contentType string
	metadata    map[string]string
	tagging     *string
	retention   investigation.Retention

	collection investigation.Collection // as in the metadata
	partSize   int64
	unnamed    bool // an existing object without a claim's name may be this one
}

// action returns the ids in the object's metadata.
func (o object) action() investigation.Action {
	return investigation.Action{
		ID:        investigation.ID{TenantID: o.metadata[metaTenant], ActionID: o.metadata[metaAction]},
		MachineID: o.metadata[metaMachine],
	}
}

// objects returns the package, in parts of partSize bytes (0: in one piece), and the object to
// store if the bytes are not a package. The latter lacks a key if such bytes are not to be stored.
func (a *Archive) objects(place investigation.Placement, partSize int64) (whole, quarantined object, err error) {
	written, err := writeCollection(place.Collection, partSize)
	if err != nil {
		return object{}, object{}, err
	}
	// Read it back: what is returned now must equal what the metadata says later.
	collection, _, err := readCollection(written)
	if err != nil {
		return object{}, object{}, err
	}
	whole = object{
		key:         string(place.Key),
		contentType: packageType,
		metadata: map[string]string{
			metaAction:     place.Action.ActionID,
			metaMachine:    place.Action.MachineID,
			metaTenant:     place.Action.TenantID,
			metaClaim:      place.Claim,
			metaCollection: written,
		},
		tagging:    tagging(place.Action),
		retention:  a.lock.From(a.now()),
		collection: collection,
		partSize:   partSize,
		unnamed:    place.Unnamed,
	}
	quarantined = whole
	quarantined.key, quarantined.contentType = string(place.Quarantine), quarantineType
	return whole, quarantined, nil
}

// putInput returns the conditional request that stores o in one piece.
func (a *Archive) putInput(o object, c *content) *s3.PutObjectInput {
	mode, until, hold := o.lock()
	in := &s3.PutObjectInput{
		Bucket:         &a.bucket,
		Key:            &o.key,
		ContentLength:  aws.Int64(c.Size()),
		ContentType:    &o.contentType,
		Metadata:       o.metadata,
		Tagging:        o.tagging,
		ChecksumCRC32C: aws.String(c.CRC32C()),
		IfNoneMatch:    aws.String("*"),

		ObjectLockMode:            mode,
		ObjectLockRetainUntilDate: until,
		ObjectLockLegalHoldStatus: hold,
	}
	if o.metadata != nil {
		in.Metadata = maps.Clone(o.metadata)
		in.Metadata[metaSHA256] = c.SHA256()
	}
	return in
}

// createInput returns the request that begins to store o in parts.
func (a *Archive) createInput(o object) *s3.CreateMultipartUploadInput {
	mode, until, hold := o.lock()
	return &s3.CreateMultipartUploadInput{
		Bucket:            &a.bucket,
		Key:               &o.key,
		ContentType:       &o.contentType,
		Metadata:          o.metadata,
		Tagging:           o.tagging,
		ChecksumAlgorithm: types.ChecksumAlgorithmCrc32c,
		ChecksumType:      types.ChecksumTypeFullObject,

		ObjectLockMode:            mode,
		ObjectLockRetainUntilDate: until,
		ObjectLockLegalHoldStatus: hold,
	}
}

// lock returns o's retention for the requests that begin to store it; empty fields are not sent.
func (o object) lock() (mode types.ObjectLockMode, until *time.Time, hold types.ObjectLockLegalHoldStatus) {
	if o.retention.Mode != "" {
		mode, until = types.ObjectLockMode(o.retention.Mode), &o.retention.Until
	}
	if o.retention.LegalHold {
		hold = types.ObjectLockLegalHoldStatusOn
	}
	return mode, until, hold
}

// stored returns the facts about o after its commit.
func (a *Archive) stored(o object, c *content, version *string) investigation.Stored {
	return investigation.Stored{
		Receipt: investigation.Receipt{
			Bucket: a.bucket, Key: o.key, VersionID: versionOf(version),
			Size: c.Size(), SHA256: c.SHA256(), CRC32C: c.CRC32C(),
			PartSize: o.partSize, Retention: o.retention,
		},
		Collection: o.collection,
	}
}
