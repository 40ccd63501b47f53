from django.db import migrations

from messaging.triggers import put_for_versions, take_away

VERSIONS = "journeys_journeyversion"


class Migration(migrations.Migration):
    dependencies = [("journeys", "0003_who_saved_last")]

    operations = [
        migrations.RunPython(
            put_for_versions(
                VERSIONS,
                editors="journeys_journeyversion_editors",
                row_of_editor="journeyversion_id",
                fixed=("journey_id", "number", "document", "integration_type", "content_hash"),
            ),
            take_away(VERSIONS),
        ),
    ]
