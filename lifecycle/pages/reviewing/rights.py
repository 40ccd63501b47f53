"""Who may do what with change sets."""

VIEW = "messaging.view_changeset"
SUBMIT = "messaging.submit_change_set"
APPROVE = "messaging.approve_change_set"
OVERRULE = "messaging.overrule_checks"
RECORD = "messaging.view_auditentry"
