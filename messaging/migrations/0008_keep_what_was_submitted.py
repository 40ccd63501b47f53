from django.db import migrations

from messaging.triggers import put_for_record, put_for_versions, take_away

VERSIONS = "messaging_templateversion"
RECORD = "messaging_auditentry"


class Migration(migrations.Migration):
    dependencies = [("messaging", "0007_notices_and_permissions")]

    operations = [
        migrations.RunPython(
            put_for_versions(
                VERSIONS,
                editors="messaging_templateversion_editors",
                row_of_editor="templateversion_id",
                fixed=("template_id", "number", "content", "frozen", "content_hash"),
            ),
            take_away(VERSIONS),
        ),
        migrations.RunPython(put_for_record(RECORD), take_away(RECORD)),
    ]
