"""The catalogue of findings: each code with its severity, what it means, and what the operator can do.

Codes are stable: scripts and people refer to them. docs/findings.md is made from this.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from migrate.model.push_errors import entry_of

Severity = Literal["info", "warning", "blocker"]
SEVERITIES: tuple[Severity, ...] = ("blocker", "warning", "info")  # the worst first
NOTHING_TO_DO = "Nothing to do"  # what a remedy is, or begins with


@dataclass(frozen=True)
class CatalogueEntry:
    """What a code stands for: its severity, what it means and what the operator can do.

    `of_config` findings are of the push configuration as it stands: they are found again whenever that is read.
    `of_plan` findings are of what is live, or of the secrets, when a plan is made: a mapping has none of them.
    """

    severity: Severity
    meaning: str
    remedy: str
    of_config: bool = False
    of_plan: bool = False


CATALOGUE: Mapping[str, CatalogueEntry] = {
    "service-missing-on-target": CatalogueEntry(
        "blocker",
        "The service is not there on the Conversations side, so its push configuration cannot be written",
        "If it was deleted, or deleted and made again, since the snapshot was taken, extract and map again; "
        "otherwise ask Twilio why this Chat service has no Conversations service, or take it out of push-config.yaml",
        of_plan=True,
    ),
    "binding-gcm": CatalogueEntry(
        "blocker",
        "The binding uses GCM, which has been gone since 2019: its device can only come back as FCM",
        "In the rules under [credentials], replace it with an FCM credential that holds a service-account key, and "
        "create one first if there is none. The token server must hand it out as push_credential_sid",
    ),
    "binding-type-unknown": CatalogueEntry(
        "blocker",
        "The binding's type has no counterpart in Conversations",
        "Find out which app registers it, and how that app is to receive pushes",
    ),
    "binding-type-blocked": CatalogueEntry(
        "blocker",
        "The rules block this binding type until you decide what happens to its devices",
        "Decide, and set it in the rules under [binding_types]",
    ),
    "credential-replacement-unfit": CatalogueEntry(
        "blocker",
        "The rules replace a credential with one of another push technology, which its devices cannot use",
        "Correct it in the rules under [credentials]",
    ),
    "credential-replacement-missing": CatalogueEntry(
        "blocker",
        "The rules replace a credential with one that the account does not have",
        "Correct it in the rules under [credentials]; if it is newer than the snapshot, extract and map again",
    ),
    "service-not-stated": CatalogueEntry(
        "warning",
        "The snapshot has this service, and push-config.yaml does not: its settings are not carried over, and pushes "
        "that are off in Conversations stay off",
        "Nothing to do if it was taken out on purpose (leave_out in the rules says so for good); otherwise map "
        "again, and edit the new push-config.yaml",
    ),
    "review-service-new": CatalogueEntry(
        "warning",
        "The service is new since the review: its settings are as mapped, and have not been reviewed",
        "Review its entry in push-config.yaml, or leave it out by the rules",
    ),
    "review-service-gone": CatalogueEntry(
        "warning",
        "The reviewed push-config.yaml states the service, and the snapshot does not have it: its entry and its "
        "edits are not carried over",
        "Nothing to do if it was deleted; if the snapshot was narrowed, or is of another time, extract again",
    ),
    "review-ground-changed": CatalogueEntry(
        "warning",
        "The setting was edited in the review, and is mapped otherwise now than it was then, because Chat, the "
        "bindings or the rules have changed: the reviewed value is kept",
        "Compare it with push-config.as-mapped.yaml, which has the setting as it is mapped now, and decide again",
    ),
    "review-setting-changed": CatalogueEntry(
        "warning",
        "The setting is mapped otherwise now than in the review, because Chat, the bindings or the rules have "
        "changed: it was not edited then, so the new value is taken",
        "Review it again in push-config.yaml",
    ),
    "review-edit-dropped": CatalogueEntry(
        "warning",
        "The service was edited when the mapping was reviewed, and the rules leave it out now: its edits are dropped",
        "Nothing to do if it is to be left out; otherwise take it out of leave_out in the rules, and map again",
    ),
    "review-rules-edited": CatalogueEntry(
        "warning",
        "The rules of the reviewed mapped folder were edited after it was mapped: the edited rules are carried over, "
        "and what they change has not been reviewed",
        "Review what they change, or undo that edit and map again",
    ),
    "review-comments-dropped": CatalogueEntry(
        "info",
        "Comments of the reviewed push-config.yaml are not carried over: their entries are mapped otherwise now",
        "Copy those that you need from the reviewed folder",
    ),
    "media-text": CatalogueEntry(
        "warning",
        "Media messages will be pushed with Twilio's default text: Chat used the template of new_message for them, "
        "and Conversations has a separate template, which is not set",
        "Nothing to do if the default text suits; otherwise set new_message.with_media.template in push-config.yaml, "
        "or template under [media] in the rules",
        of_config=True,
    ),
    "binding-expired": CatalogueEntry(
        "warning",
        "Not updated for longer than a binding lives: the device is probably gone",
        "Nothing to do if those users have left; otherwise expect them only after they open the new app",
    ),
    "binding-incomplete": CatalogueEntry(
        "warning",
        "The binding has no identity, endpoint, credential or date",
        "Look the binding up in the snapshot; its device cannot be followed",
    ),
    "bindings-rejected": CatalogueEntry(
        "warning",
        "Records that do not have the shape of a binding; they are kept as they came in rejected.jsonl",
        "Read the reasons in the snapshot's rejected.jsonl",
    ),
    "message-type-dropped": CatalogueEntry(
        "warning",
        "Subscribed to a message type that has no equivalent in Conversations (by default only invited_to_channel)",
        "Tell the app's owners. Conversations has no invites: people are added to a conversation directly",
    ),
    "message-type-unknown": CatalogueEntry(
        "warning",
        "Subscribed to an unknown message type, which cannot be mapped",
        "Find out which app registers it, and what it was for",
    ),
    "message-type-ignored": CatalogueEntry(
        "info",
        "Subscribed to an SDK's internal message type that is no push (consumption_update, typing_indicator)",
        "Nothing to do: the Conversations SDK registers what it needs",
    ),
    "message-types-missing": CatalogueEntry(
        "warning",
        "The binding names no message types, so what it receives is not known",
        "Nothing to do before the move; check such a device by hand after it",
    ),
    "binding-on-conversations": CatalogueEntry(
        "info",
        "Already registered through the Conversations SDK",
        NOTHING_TO_DO,
    ),
    "endpoint-shared": CatalogueEntry(
        "warning",
        "Several identities share one endpoint: pushes may reach the wrong person",
        "Make the app unregister on sign-out; the device registers again on the next sign-in",
    ),
    "identity-crowded": CatalogueEntry(
        "warning",
        "One identity has more bindings than usual (by the rules, more than 10, the limit of sister products)",
        "Look for an app that registers a new device at each start",
    ),
    "credential-missing": CatalogueEntry(
        "warning",
        "Bindings use a credential that the account does not have",
        "Replace it in the rules under [credentials] with one that the account has",
    ),
    "credential-unfit": CatalogueEntry(
        "warning",
        "Bindings use a credential of another push technology than their own",
        "Find out which credential their app needs, and name it in the rules under [credentials]",
    ),
    "credential-sandbox": CatalogueEntry(
        "warning",
        "Live bindings use a credential of Apple's sandbox, through which only development builds get pushes",
        "Nothing to do if these are test devices; otherwise name the production credential in the rules "
        "under [credentials]",
    ),
    "credential-fcm-legacy": CatalogueEntry(
        "warning",
        "An FCM credential not changed for so long (by the rules, since 2024-03) probably holds a legacy server key",
        "Those keys stopped working: update the same credential with a service-account key; its SID stays, and so do "
        "the registrations",
    ),
    "credential-fcm-legacy-proven": CatalogueEntry(
        "warning",
        "Push errors show that an FCM credential holds a legacy server key (52116), with which FCM sends no push "
        "(52117)",
        entry_of(52117).remedy,
    ),
    "credential-certificate-refused": CatalogueEntry(
        "warning",
        "Push errors show that APNs refuses a credential's certificate (52131): it has expired, was revoked, or is "
        "not valid, and the pushes to its devices fail",
        entry_of(52131).remedy,
    ),
    "credential-refused": CatalogueEntry(
        "warning",
        "Push errors show that a credential is refused: its key or certificate is malformed, expired or revoked, or "
        "may not send (52001, 52003, 52005, 52101, 52109, 52149)",
        entry_of(52005).remedy,
    ),
    "credential-environment-mixed": CatalogueEntry(
        "warning",
        "APNs does not accept the tokens of several devices of a credential (52134), at least one in 20 of its live "
        "ones: they may be of the sandbox and the credential of production, or the reverse; but a dead token has the "
        "same code. Counted are the devices",
        entry_of(52134).remedy,
    ),
    "credential-changed-since": CatalogueEntry(
        "info",
        "Push errors name a credential that was changed after the last of them, which may have fixed it: they prove "
        "nothing of it as it is now",
        "Nothing to do if chat-migrate health shows no such errors after the change",
    ),
    "token-credential-wrong": CatalogueEntry(
        "warning",
        "Push errors show access tokens that name no push credential (52004), or one that cannot be used (52002). "
        "Counted are the errors",
        entry_of(52004).remedy,
    ),
    "token-credential-unfit": CatalogueEntry(
        "warning",
        "Push errors show access tokens that name a credential of another push technology than the device's (52164). "
        "Counted are the errors",
        entry_of(52164).remedy,
    ),
    "push-errors-unattributed": CatalogueEntry(
        "info",
        "Push errors that name neither a credential nor a service: whose pushes failed is not known, and nothing is "
        "concluded from them",
        "Look them up by code and date in Twilio's error log (Console, Monitor), which may show more",
    ),
    "push-errors-unread": CatalogueEntry(
        "info",
        "Twilio's Alerts could not be read when the snapshot was made, so which pushes fail is not known",
        "Extract with an API key that may read Monitor Alerts, or leave them out with --no-alerts",
    ),
    "push-errors-incomplete": CatalogueEntry(
        "info",
        "Some push errors before the snapshot may be missing, so their numbers are the least that there were",
        "Nothing to do, but conclude nothing from an error that is not there",
    ),
    "credential-replaced": CatalogueEntry(
        "warning",
        "The rules replace this credential: its devices need new access tokens, and must register again",
        "Have the token server hand out the new one as push_credential_sid before the app is opened again",
    ),
    "credential-ambiguous": CatalogueEntry(
        "blocker",
        "A credential is to be created, and several of its type and name exist already",
        "Find out which one the app uses, and set its sid in push-config.yaml, or remove the credential there",
    ),
    "credential-not-as-named": CatalogueEntry(
        "blocker",
        "A credential's secret is to be replaced, and no credential has that SID, type and name",
        "Correct the sid, the type or the name in push-config.yaml: all three must be those of one credential",
        of_plan=True,
    ),
    "credential-sandbox-differs": CatalogueEntry(
        "blocker",
        "A credential of that type and name exists already, with the opposite setting of Apple's sandbox",
        "Correct sandbox in push-config.yaml, or give the new credential another name",
    ),
    "credential-secret-unseen": CatalogueEntry(
        "warning",
        "A credential's secret is to be replaced: the current one can be neither read nor restored, and every later "
        "load would write it again",
        "Keep a copy of the current secret; remove the credential from push-config.yaml once it is written",
        of_plan=True,
    ),
    "credential-to-be-made": CatalogueEntry(
        "info",
        "A credential is to be created. Devices use it once the token server hands it out and they register again",
        "Create it with load --only-credentials --apply; extract again, name its SID in the rules under "
        "[credentials], and map",
        of_plan=True,
    ),
    "credential-exists": CatalogueEntry(
        "info",
        "A credential of that type and name exists already, and is left as it is",
        "To replace its secret, set its sid in push-config.yaml",
    ),
    "credential-certificate-ends": CatalogueEntry(
        "warning",
        "The certificate for a credential expires within 30 days; pushes to its devices stop then",
        "Renew it with Apple and name the new one, or plan the renewal; the credential keeps its SID",
        of_plan=True,
    ),
    "credential-certificate-unknown": CatalogueEntry(
        "warning",
        "The certificate's common name is not one that Apple gives to push certificates: it may not be for push, and "
        "whether it is for the sandbox or for production is unknown",
        "Check that it is the push certificate of this app, and that sandbox in push-config.yaml is right",
        of_plan=True,
    ),
    "credential-key-unread": CatalogueEntry(
        "warning",
        "The private_key in a service-account key cannot be read as a private key without a password",
        "Download the key from Google again and name that file, unless you know that Twilio accepts this one",
        of_plan=True,
    ),
    "rollback-credential-stays": CatalogueEntry(
        "warning",
        "A credential that was created, or whose secret was replaced, stays as it is: the former secret is unknown, "
        "and deleting a credential deletes every registration made with it",
        "Restore the former secret with a push-config.yaml that sets its sid; leave a new credential where it is",
        of_plan=True,
    ),
    "credential-unused": CatalogueEntry(
        "info",
        "No binding uses this credential",
        "Nothing to do. Do not delete it for that reason: that deletes every registration made with it",
    ),
    "service-left-out": CatalogueEntry(
        "warning",
        "The rules leave this service out: it has no entry in push-config.yaml and stays as it is in Conversations",
        "Nothing to do if that is intended; its bindings are in the mapped folder, and have no findings",
    ),
    "rule-unused": CatalogueEntry(
        "warning",
        "A rule names something that the snapshot does not have",
        "Correct it, if it is misspelt",
    ),
    "setting-unknown": CatalogueEntry(
        "warning",
        "Set in Chat's notifications, but unknown or of the wrong type; it is not carried over",
        "Look it up in the snapshot's services.parquet, and set its equivalent in push-config.yaml",
    ),
    "snapshot-filtered": CatalogueEntry(
        "warning",
        "The snapshot holds only some binding types or identities, so counts of subscribers are incomplete",
        "Map a snapshot without --binding-type and --identity before you rely on them",
    ),
    "snapshot-empty": CatalogueEntry(
        "warning",
        "The snapshot has no binding at all, so there is nothing to wait for, and no percentage of it",
        "Check the account (TWILIO_ACCOUNT_SID), the region (TWILIO_REGION) and the filters that it was made with, "
        "which are the usual causes, and extract again",
    ),
    "snapshot-expired": CatalogueEntry(
        "warning",
        "All bindings of the snapshot had expired when it was made, so there is nothing to wait for",
        "Check the account (TWILIO_ACCOUNT_SID), the region (TWILIO_REGION), the filters and the clock that it was "
        "made with, which are the usual causes, and extract again",
    ),
    "clock-differs": CatalogueEntry(
        "warning",
        "The source's clock, by which ages are measured, and this machine's differed when the snapshot was made",
        "Set this machine's clock, or find out what changes the Date of answers on the way, and extract again",
    ),
    "push-inferred": CatalogueEntry(
        "warning",
        "Chat does not say whether this is switched on, and nothing is written: it is proposed, because live "
        "bindings subscribe to it. They subscribe to all that their SDK knows, so it may never have been on",
        "Decide: uncomment it in push-config.yaml, or state another value there; a rule under [inference] decides "
        "for many services at once, and load --force inferred writes all that is proposed",
        of_config=True,
    ),
    "push-trusted": CatalogueEntry(
        "warning",
        "Chat does not say whether this is switched on; it is written all the same, because a rule or --force "
        "inferred trusts what live bindings subscribe to, which is all that their SDK knows",
        "Ask the app's owners whether users had this push, before it is applied",
        of_plan=True,
    ),
    "setting-unfit": CatalogueEntry(
        "warning",
        "Set in Chat, and cannot be sent to Conversations as it is; only this value is left out",
        "Set it in push-config.yaml; until then the live value in Conversations stays",
    ),
    "push-unsubscribed": CatalogueEntry(
        "info",
        "Enabled in Chat, though no live binding subscribes to it",
        "Nothing to do: it stays enabled, as it was",
    ),
    "push-disabled": CatalogueEntry(
        "info",
        "Bindings subscribe to it, though it is disabled in Chat",
        "Nothing to do: it stays disabled, as it was",
    ),
    "push-dropped": CatalogueEntry(
        "warning",
        "Chat pushes this, and the rules drop it; Conversations has no push for invites",
        "Tell the app's owners; invites can be folded into added_to_conversation in the rules under [message_types]",
    ),
    "push-folded": CatalogueEntry(
        "warning",
        "The rules merge several of Chat's pushes into one, and some of them were off: it is on for all now",
        "Correct it in push-config.yaml if that is not intended",
    ),
    "setting-folded": CatalogueEntry(
        "warning",
        "The rules merge several of Chat's pushes into one; this text of one of them is dropped",
        "Check the text that is kept in push-config.yaml",
    ),
    "template-reworded": CatalogueEntry(
        "info",
        "The template is one of Chat's default texts, and the rules reword it for Conversations: apps that parse the "
        "text of a push break",
        "Ask the app's owners whether the app parses it; if so, set the text that it expects in push-config.yaml",
    ),
    "template-variable-alive": CatalogueEntry(
        "warning",
        "Chat's template holds a variable that only Conversations has: Chat shows it unchanged, and Conversations "
        "fills it in",
        "Check in the report what phones will show, and correct the template in push-config.yaml if needed",
    ),
    "template-slip": CatalogueEntry(
        "warning",
        "The template holds something that looks like a variable and is not one, such as ${USER without its brace, "
        "${{USER}} or $USER: phones show it unchanged",
        "Correct it in push-config.yaml",
        of_config=True,
    ),
    "template-eaten": CatalogueEntry(
        "warning",
        "The template has no variables, and seems to have lost some: a shell, or PHP in double quotes, expands "
        "${...} as a variable of its own and leaves a gap",
        "Set the text that phones should show in push-config.yaml",
        of_config=True,
    ),
    "template-variable-unknown": CatalogueEntry(
        "warning",
        "The template holds an unknown variable, which is kept as it is",
        "Correct it in push-config.yaml; otherwise phones may show it unchanged",
        of_config=True,
    ),
    "template-message-unavailable": CatalogueEntry(
        "warning",
        "The template uses ${MESSAGE}, which only new-message pushes have",
        "Remove ${MESSAGE} from the template in push-config.yaml",
        of_config=True,
    ),
    "template-media-unavailable": CatalogueEntry(
        "warning",
        "The template uses ${MEDIA} or ${MEDIA_COUNT}, which only media pushes have",
        "Remove it from the template in push-config.yaml, or move it to with_media",
        of_config=True,
    ),
    "template-long": CatalogueEntry(
        "warning",
        "With names and a message of usual length, the push is longer than 178 characters, where Twilio cuts it: "
        "apps that parse the text of a push break",
        "Shorten it in push-config.yaml",
        of_config=True,
    ),
    "snapshot-unverified": CatalogueEntry(
        "warning",
        "The snapshot that was mapped is missing or damaged, so the mapping cannot be checked against it",
        "Put it back beside the mapped folder, or map another snapshot",
        of_plan=True,
    ),
    "snapshot-changed": CatalogueEntry(
        "warning",
        "Another snapshot has replaced the one that was mapped",
        "Map it again",
        of_plan=True,
    ),
    "target-drifted": CatalogueEntry(
        "warning",
        "Changed in Conversations since the snapshot was taken",
        "Find out who changed it, and whether push-config.yaml should have the same value",
        of_plan=True,
    ),
    "rollback-left-alone": CatalogueEntry(
        "warning",
        "Changed since it was applied: the rollback leaves it as it is",
        "Decide what it should be, and set it by hand",
        of_plan=True,
    ),
    "push-left-off": CatalogueEntry(
        "warning",
        "Live bindings subscribe to this push, and it stays off in Conversations: push-config.yaml does not switch "
        "it on, though Chat does not have it off",
        "Nothing to do if it is to be silent; otherwise state it as true in push-config.yaml",
        of_config=True,
    ),
    "change-disables": CatalogueEntry(
        "warning",
        "The change would switch off a push that is on in Conversations now; counted are the live bindings that "
        "subscribe to it",
        "If it is on intentionally, remove the key from push-config.yaml",
        of_plan=True,
    ),
    "rollback-unfinished": CatalogueEntry(
        "warning",
        "The journal does not say that its plan was applied whole: the apply was interrupted or failed in part, or "
        "the journal was cut short in copying. What it does not name is not undone",
        "Use the journal of the machine that applied the plan; chat-migrate load --plan FILE shows what is live",
        of_plan=True,
    ),
    "target-value-unreadable": CatalogueEntry(
        "warning",
        "Conversations shows a value here that is not of the documented type (such as a text where true or false "
        "belongs), so it is not known what is live; it is left as it is, and not set",
        "Set it by hand in the Twilio Console, or ask Twilio what it means; then plan again",
        of_plan=True,
    ),
    "target-value-kept": CatalogueEntry(
        "info",
        "Set in Conversations, though Chat says nothing about it; it is left as it is",
        "Nothing to do, or state the value that you want in push-config.yaml",
        of_plan=True,
    ),
}
