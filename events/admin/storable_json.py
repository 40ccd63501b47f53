"""A form's field for JSON that a database can keep and a page can show again."""

import json
from typing import Any

from django import forms
from django.forms.fields import InvalidJSONInput


class StorableJSONField(forms.JSONField):
    """JSON as Django reads it, without what Python takes for JSON and neither database nor browser does.

    Raises ValidationError in plain words; what was typed is then shown as it was typed.
    """

    def to_python(self, value: Any) -> Any:
        try:
            found = super().to_python(value)
            text = json.dumps(found, ensure_ascii=False, allow_nan=False)
            text.encode()
        except forms.ValidationError:
            raise
        except RecursionError:
            raise forms.ValidationError("This is nested too deeply.") from None
        except UnicodeEncodeError:
            raise forms.ValidationError(
                "Half of a character (\\ud800 to \\udfff) cannot be stored; leave it out."
            ) from None
        except ValueError:
            raise forms.ValidationError("NaN and Infinity are no JSON; leave them out.") from None
        if "\\u0000" in text.replace("\\\\", ""):
            raise forms.ValidationError("A NUL character (\\u0000) cannot be stored; leave it out.")
        return found

    def bound_data(self, data: Any, initial: Any) -> Any:
        try:
            self.to_python(data)
        except forms.ValidationError:
            return InvalidJSONInput(data or "")
        return super().bound_data(data, initial)
