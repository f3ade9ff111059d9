package doctor

import "slices"

func tableChecks(p StackPorts, w StackWanted) []Check {
	ledger := table{w, "ledger", w.Ledger, "due(lane,dueAt)"}
	budget := table{w, "budget", w.Budget, ""}
	return append(ledger.checks(p.Ledger, p.LedgerBackups, p.LedgerTTL),
		budget.checks(p.Budget, p.BudgetBackups, p.BudgetTTL)...)
}

// table is one of the two tables, as it was deployed.
type table struct {
	w          StackWanted
	word, name string
	index      string // written as in StackTable; empty for none
}

func (t table) checks(look Look[StackTable], backups, ttl Look[bool]) []Check {
	restore := paste("restore it; DynamoDB keeps what it had for 35 days", "aws dynamodb restore-table-from-backup"+
		" --target-table-name %[1]s --backup-arn $(aws dynamodb list-backups --table-name %[1]s --backup-type ALL"+
		" --query 'BackupSummaries[-1].BackupArn' --output text)", shell(t.name))
	after := []string{t.word + ".table"}
	all := []Check{{
		Name: t.word + ".table", Area: areaTables,
		Looks: "whether the " + t.word + " table is active, with its key, and protected from deletion",
		Run:   seeing(look, restore, t.judge),
	}}
	if t.index != "" {
		all = append(all, Check{
			Name: t.word + ".index", Area: areaTables, After: after,
			Looks: "whether the ledger has its index of due work",
			Run:   seeing(look, "", t.judgeIndex),
		})
	}
	return append(all, Check{
		Name: t.word + ".backups", Area: areaTables, After: after,
		Looks: "whether the " + t.word + " table can be restored to a point in time",
		Run: seeing(backups, "", func(on bool) Finding {
			if on {
				return Good("point-in-time recovery is on")
			}
			return Warn(paste("turn it on", "aws dynamodb update-continuous-backups --table-name %s"+
				" --point-in-time-recovery-specification PointInTimeRecoveryEnabled=true", shell(t.name)),
				"point-in-time recovery of %s is off", t.name)
		}),
	}, Check{
		Name: t.word + ".expiry", Area: areaTables, After: after,
		Looks: "whether nothing in the " + t.word + " table expires",
		Run: seeing(ttl, "", func(on bool) Finding {
			if !on {
				return Good("nothing expires")
			}
			return Fail(paste("turn it off", "aws dynamodb update-time-to-live --table-name %[1]s --time-to-live-specification"+
				" Enabled=false,AttributeName=$(aws dynamodb describe-time-to-live --table-name %[1]s"+
				" --query TimeToLiveDescription.AttributeName --output text)", shell(t.name)),
				"items of %s expire: Packhorse never lets one go", t.name)
		}),
	})
}

func (t table) judge(s StackTable) Finding {
	switch {
	case s.Key != "pk":
		return Fail("name a table of Packhorse's in the parameters: make deploy STACK="+shell(t.w.Name),
			"%s has the key %s, not pk: it is not Packhorse's", t.name, s.Key)
	case s.Status != "ACTIVE" && s.Status != "UPDATING":
		return Fail("wait until it is ACTIVE, then look again", "%s is %s", t.name, s.Status)
	case !s.Protected:
		return Warn(paste("protect it", "aws dynamodb update-table --table-name %s --deletion-protection-enabled",
			shell(t.name)), "%s can be deleted by mistake: its deletion protection is off", t.name)
	default:
		return Good("%s is %s", t.name, s.Status)
	}
}

func (t table) judgeIndex(s StackTable) Finding {
	i := slices.IndexFunc(s.Indexes, func(x StackIndex) bool { return x.Name+x.Key == t.index })
	switch {
	case i < 0:
		return Fail(paste("create it", "aws dynamodb update-table --table-name %s"+
			" --attribute-definitions AttributeName=lane,AttributeType=S AttributeName=dueAt,AttributeType=N"+
			` --global-secondary-index-updates '[{"Create":{"IndexName":"due","KeySchema":[{"AttributeName":"lane",`+
			`"KeyType":"HASH"},{"AttributeName":"dueAt","KeyType":"RANGE"}],"Projection":{"ProjectionType":"KEYS_ONLY"}}}]'`,
			shell(t.name)), "%s lacks the index %s: no work is found", t.name, t.index)
	case s.Indexes[i].Status != "ACTIVE":
		return Fail("wait until it is ACTIVE, then look again", "the index %s is %s", t.index, s.Indexes[i].Status)
	default:
		return Good("%s", t.index)
	}
}
