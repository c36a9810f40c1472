"""How a device that has registered with Conversations differs from one that Chat knows (FACTS.md, "The two APIs").

Both SDKs register through one registrar, and what Conversations lists may be Chat's own bindings: only the names that
a binding subscribes to show who made it. Plain `new_message` is a name of both.
"""

from __future__ import annotations

CONVERSATIONS_NAMES = ("added_to_conversation", "removed_from_conversation")
CHAT_NAMES = ("added_to_channel", "invited_to_channel", "removed_from_channel")
SHARED_NAME = "new_message"
# Names that SDKs register with a prefix, and names that are no pushes (FACTS.md, "Binding").
CHAT_PREFIXES = ("twilio.channel.", "twilio.ipmsg.")
CONVERSATIONS_PREFIXES = ("twilio.conversations.",)
NO_PUSHES = ("consumption_update", "typing_indicator")
# Chat's pushes, and what asks for the same in Conversations, which has no invites.
SAME_PUSH = {
    "new_message": "new_message",
    "added_to_channel": "added_to_conversation",
    "removed_from_channel": "removed_from_conversation",
}
INVITES = "invited_to_channel"
# A device of GCM, which is gone, can only come back as one of FCM (FACTS.md, "Credentials"). This is so for what Chat
# has: a registration in Conversations that names GCM reaches no device.
SUCCESSORS = {"gcm": "fcm"}
# Binding types of Conversations that bring pushes to phones.
PUSHED_THROUGH = ("apn", "fcm")
