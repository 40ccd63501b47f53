"""Who may read e-mails and who may write them; reviewers read what marketers write."""

VIEW = "messaging.view_templateversion"
# Whoever may only change what stands there does not begin a version.
EDIT = "messaging.add_templateversion"
