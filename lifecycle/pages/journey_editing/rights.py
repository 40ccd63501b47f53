"""Who may read journeys and who may write them; reviewers read what marketers write."""

VIEW = "pages.see_journeys"
# Reviewers change a version's status, so `change` is not enough to write a journey.
EDIT = "journeys.add_journeyversion"
