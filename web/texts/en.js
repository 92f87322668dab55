// All texts of the pages, in English. To add a language, add a file like this one, named with the
// language's code: de.js for German. A text with placeholders is a function.

const count = (number, one, many) => (number === 1 ? `1 ${one}` : `${number} ${many}`);
const percent = (number) => `${Math.floor(number * 10) / 10} %`;

export const texts = {
  name: "Facial recognition",
  skip: "Skip to the content",
  pages: "Pages",
  register: "Register",
  verify: "Verify",
  footer: "Photographs are used only to recognise registered people.",

  "home.title": "Facial recognition",
  "home.heading": "Know who is there.",
  "home.lead":
    "Register people with a photograph. Later, the camera recognises them. " +
    "Only registered people are recognised.",
  "home.register": "Register a person",
  "home.registerLead":
    "You need their name, their consent and a photograph. Or register a whole club from a folder.",
  "home.verify": "Verify a person",
  "home.verifyLead":
    "Find out who somebody is, or check that it is a certain person. Use the camera or a file.",
  "home.how": "How it works",
  "home.how1": "Ask",
  "home.how1Text": "The person agrees that their photograph is stored and compared.",
  "home.how2": "Register",
  "home.how2Text":
    "The service checks the photograph: it must show one face, large, bright and sharp enough.",
  "home.how3": "Verify",
  "home.how3Text":
    "The service compares a new photograph with all registered faces, in about a second.",

  "missing.title": "Not found · Facial recognition",
  "missing.heading": "This page does not exist.",
  "missing.lead": "Check the address, or go to the start page.",
  "missing.home": "Go to the start page",

  "register.title": "Register a person · Facial recognition",
  "register.heading": "Register a person",
  "register.lead": "After that, they are recognised whenever they come back.",
  "register.who": "Who is it?",
  "register.name": "Name",
  "register.id": "Person id",
  "register.idHint":
    "Suggested from the name. It may have letters, digits, and . _ - (at most 64). Use the same id " +
    "for every photograph of this person.",
  "register.consent": "Consent",
  // The version of the three consent texts. It is stored with each photograph, as evidence of the
  // text that the person agreed to. When you change a text, change the version and archive the old
  // text.
  "register.consentVersion": "pages-en-1",
  "register.consentText":
    "What is kept: the photograph, the name, and measurements of the face by which it can be " +
    "found again. They are compared with every photograph that is verified here, and used for " +
    "nothing else.",
  "register.consentDelete":
    "To have it deleted, at any time and without giving reasons: ask whoever runs this service. " +
    "When the photographs are removed, name and measurements go with them.",
  "register.agreed": "They know this, and they agree.",
  "register.photographs": "Photographs",
  "register.photographsHint":
    "One is enough. Two or three give better results, for example with and without glasses.",
  "register.next": "Register the next person",
  "register.many": "Many people at once",
  "register.manyText":
    "Drop a folder anywhere on this page, or choose one. It must contain a folder for each person. " +
    "The name of that folder becomes the person’s name and id.",
  "register.chooseFolder": "Choose a folder",
  "register.originals": "Keep the photographs as they are",
  "register.originalsHint":
    "Up to 15 MB each. Otherwise, large ones are reduced to the size that recognition needs.",
  "register.list": "Registered now",
  "register.progress": "Progress",
  "register.progressText": ({ done, failed, total }) =>
    `${done} of ${count(total, "photograph", "photographs")} registered` +
    (failed ? `, ${failed} failed` : ""),
  "register.retryAll": ({ failed }) => `Try ${count(failed, "photograph", "photographs")} again`,
  "register.clear": "Clear the list",
  "register.nameMissing": "Enter the name first.",
  "register.nameTooLong": "The name is too long. Use at most 200 characters.",
  "register.idWrong": "This id is not valid. Use only letters, digits, and . _ - (at most 64).",
  "register.consentMissing": "Ask the person for consent, then tick this box.",
  "register.noPhotographs": "None of these files is a photograph. Choose others.",

  "state.waiting": "Waiting",
  "state.preparing": "Preparing",
  "state.sending": "Sending",
  "state.sent": "Sent",
  "state.stored": "Stored",
  "state.indexing": "Indexing",
  "state.indexed": "Recognisable",
  "state.slow": "Stored. Recognisable in a moment",
  "state.failed": "Not registered",
  "state.registered": ({ name }) => `${name} is registered.`,
  "state.notRegistered": ({ name, problem }) => `${name} is not registered: ${problem}`,
  "item.photograph": ({ name }) => `Photograph of ${name}`,
  "item.retry": "Try again",
  "item.remove": "Remove",
  "item.useId": ({ personId }) => `Add it to ${personId}`,
  "item.newId": ({ personId }) => `Register as ${personId}`,
  "item.addAnyway": "It is the same person: add it",

  "verify.title": "Verify a person · Facial recognition",
  "verify.heading": "Verify a person",
  "verify.lead": "Look into the camera, or choose a photograph.",
  "verify.question": "What do you want to know?",
  "verify.anyone": "Who is it?",
  "verify.oneOf": "Is it this person?",
  "verify.id": "Person id",
  "verify.idHint": "The id under which the person was registered.",
  "verify.idMissing": "Enter the id of the person to compare with.",
  "verify.check": "Check now",
  "verify.continuous": "Check continuously",
  "verify.continuousHint": "Checks each time somebody holds still in front of the camera.",
  "verify.answer": "Answer",
  "verify.idle": "Nobody has been checked yet.",
  "verify.checking": "Checking …",
  "verify.watching": "Waiting until somebody holds still …",
  "verify.paused": "Continuous checking is paused.",
  "verify.recognised": "Recognised",
  "verify.confirmed": "Confirmed",
  "verify.notRecognised": "Not recognised",
  "verify.notRecognisedText": ({ threshold }) =>
    `No registered face is similar enough. At least ${percent(threshold)} is needed.`,
  "verify.notConfirmed": ({ personId }) => `This is not ${personId}`,
  "verify.notConfirmedText": ({ threshold }) =>
    `The face is not similar enough to the faces registered under this id. ` +
    `At least ${percent(threshold)} is needed.`,
  "verify.unchecked": "Could not be checked",
  "verify.similarity": "Similarity",
  "verify.percent": ({ similarity }) => percent(similarity),
  "verify.personId": ({ personId }) => `Person id: ${personId}`,
  "verify.checked": "The photograph that was checked",
  "verify.others": "Also similar",
  "verify.register": "Register this person",

  "camera.view": "Camera",
  "camera.start": "Start the camera",
  "camera.starting": "Starting the camera …",
  "camera.stop": "Stop the camera",
  "camera.switch": "Switch camera",
  "camera.take": "Take the photograph",
  "camera.place": "Place the face inside the oval",
  "camera.choose": "Choose photographs",
  "camera.chooseOne": "Choose a photograph",
  "camera.drop": "or drop them here",
  "camera.dropOne": "or drop it here",

  "key.heading": { "api-key": "API key", cognito: "Access token" },
  "key.text": {
    "api-key": "This service requires a key. Ask the people who run it for one.",
    cognito:
      "This service requires a token. Sign in where you were told to, and paste the token here.",
  },
  "key.label": { "api-key": "Key", cognito: "Token" },
  "key.kept": "It is stored in this tab only, and deleted when you close the tab.",
  "key.refused": "The service did not accept it. Check it, or ask for a new one.",
  "key.use": "Use it",
  "key.cancel": "Cancel",

  again: "Try again",

  // Each problem has a title, which says what is wrong, and advice, which says what to do.
  problems: {
    no_face: ["No face found", "Move closer, face the camera, and uncover the face."],
    several_faces: ["The photograph shows several faces", "Take one with only this person."],
    poor_quality: [
      "The face is not clear enough",
      "Move closer, turn to the light, and hold still.",
    ],
    image_too_small: ["The photograph is too small", "Use one with a larger face."],
    image_too_large: ["The file is too large", "Use one of at most 15 MB."],
    unsupported_image: [
      "This file cannot be read as a photograph",
      "Save it as JPEG or PNG, and try again.",
    ],
    image_missing: ["The photograph was removed", "Send it again."],
    face_registered_to_another_person: [
      "This face is registered already",
      "If it is the same person, add the photograph to that person. If not, ask the people who run " +
        "the service.",
    ],
    person_exists: [
      "Somebody else has this id",
      "The faces registered under it look different. If this is another person, choose another id.",
    ],
    person_unknown: ["Nobody has this id", "Check the spelling, or choose “Who is it?”"],
    malformed_request: [
      "The service did not understand the request",
      "Check the name and the id, and try again.",
    ],
    throttled: ["The service is busy", "Wait a moment, then try again."],
    service_unavailable: ["The service is not available", "Wait a moment, then try again."],
    internal: [
      "Something went wrong in the service",
      "Try again. If it happens again, tell the people who run the service.",
    ],
    photograph_not_kept: ["The photograph is no longer stored", "Take a new one."],
    unauthorized: ["The service does not know you", "Ask the people who run it for a new key."],
    not_found: ["The service is not at this address", "Tell the people who run it."],
    method_not_allowed: [
      "The service did not understand the request",
      "Tell the people who run it.",
    ],
    unsupported_media_type: [
      "The service did not understand the request",
      "Tell the people who run it.",
    ],
    request_timeout: [
      "Sending the photograph took too long",
      "The network may be slow. Try again.",
    ],
    offline: ["This device is offline", "Connect to the network, then try again."],
    timeout: ["The answer takes too long", "The network may be slow. Try again."],
    unreachable: [
      "The service does not answer",
      "Check the network, and that the service is running.",
    ],
    unreachable_or_key: [
      "The service does not answer, or refuses your key",
      "Check the network. To try again with another key, press the button.",
    ],
    upload_failed: ["The upload was refused", "Try again."],
    key_needed: ["A key is needed", "Try again, and enter it."],
    forbidden: ["You are not allowed to do this", "Ask the people who run the service."],
    camera_refused: [
      "The camera is not allowed",
      "Allow it in the address bar, then try again. Or choose a photograph.",
    ],
    camera_missing: ["There is no camera", "Connect one, then try again. Or choose a photograph."],
    camera_busy: [
      "The camera cannot be used",
      "Another program may be using it. Close that program, then try again. Or choose a photograph.",
    ],
    camera_insecure: [
      "The camera does not work on this address",
      "Browsers allow it only on https:// addresses and on this machine. Choose a photograph instead.",
    ],
  },
};
