// Every text of the pages, in English. Another language is another file like this one, named by
// its code: de.js is German. A text with something to fill in is a function.

const count = (number, one, many) => (number === 1 ? `1 ${one}` : `${number} ${many}`);
const percent = (number) => `${Math.floor(number * 10) / 10} %`;

export const texts = {
  name: "Facial recognition",
  skip: "Skip to the content",
  pages: "Pages",
  register: "Register",
  verify: "Verify",
  footer: "Photographs are used to recognise registered people, and for nothing else.",

  "home.title": "Facial recognition",
  "home.heading": "Know who is there.",
  "home.lead":
    "Register people with a photograph. Later, a look into the camera says who it is. " +
    "Nobody is recognised who was not registered.",
  "home.register": "Register a person",
  "home.registerLead":
    "A name, their consent, and a photograph or two. Or a folder for a whole club.",
  "home.verify": "Verify a person",
  "home.verifyLead": "Who is it? Or: is it really this person? With the camera or a file.",
  "home.how": "How it works",
  "home.how1": "Ask",
  "home.how1Text": "The person agrees that their photograph is kept and compared.",
  "home.how2": "Register",
  "home.how2Text": "The photograph is checked at once: one face, large, light and sharp enough.",
  "home.how3": "Verify",
  "home.how3Text":
    "A later photograph is compared with all that are registered, within a second or so.",

  "missing.title": "Not found · Facial recognition",
  "missing.heading": "This page does not exist.",
  "missing.lead": "The address may be mistyped, or the page has moved.",
  "missing.home": "To the start",

  "register.title": "Register a person · Facial recognition",
  "register.heading": "Register a person",
  "register.lead": "Then they are recognised whenever they come again.",
  "register.who": "Who is it?",
  "register.name": "Name",
  "register.id": "Person id",
  "register.idHint":
    "Offered from the name. Letters, digits, and . _ - up to 64; it stays the same for every " +
    "photograph of this person.",
  "register.consent": "Consent",
  // Kept with each photograph. Another text, another version: the old ones have to be kept, too.
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
    "One is enough; two or three recognise better, for instance with and without glasses.",
  "register.next": "Register the next person",
  "register.many": "Many people at once",
  "register.manyText":
    "Drop a folder that holds a folder for each person anywhere on this page, or choose it. The " +
    "name of each person’s folder is taken as their name and id.",
  "register.chooseFolder": "Choose a folder",
  "register.originals": "Keep the photographs as they are",
  "register.originalsHint":
    "Up to 15 MB each. Otherwise they are made smaller first, to what recognition needs.",
  "register.list": "Registered now",
  "register.progress": "Progress",
  "register.progressText": ({ done, failed, total }) =>
    `${done} of ${count(total, "photograph", "photographs")} registered` +
    (failed ? `, ${failed} not` : ""),
  "register.retryAll": ({ failed }) => `Try ${count(failed, "failure", "failures")} again`,
  "register.clear": "Clear the list",
  "register.nameMissing": "Write the name first.",
  "register.nameTooLong": "The name is too long: up to 200 characters.",
  "register.idWrong": "Use letters, digits, and . _ - only: 1 to 64 of them.",
  "register.consentMissing": "Tick this first, once the person has agreed.",
  "register.noPhotographs": "There is no photograph among these files.",

  "state.waiting": "Waiting",
  "state.preparing": "Preparing",
  "state.sending": "Sending",
  "state.sent": "Sent",
  "state.stored": "Stored",
  "state.indexing": "Indexing",
  "state.indexed": "Recognisable",
  "state.slow": "Stored; recognisable in a moment",
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
  "verify.idHint": "As it was registered.",
  "verify.idMissing": "Write the id of the person to compare with.",
  "verify.check": "Check now",
  "verify.continuous": "Check continuously",
  "verify.continuousHint": "Whenever somebody holds still before the camera.",
  "verify.answer": "Answer",
  "verify.idle": "Nobody has been checked yet.",
  "verify.checking": "Checking …",
  "verify.watching": "Waiting until somebody holds still …",
  "verify.paused": "Continuous checking is paused.",
  "verify.recognised": "Recognised",
  "verify.confirmed": "Confirmed",
  "verify.notRecognised": "Not recognised",
  "verify.notRecognisedText": ({ threshold }) =>
    `No registered face is similar enough; ${percent(threshold)} are needed.`,
  "verify.notConfirmed": ({ personId }) => `This is not ${personId}`,
  "verify.notConfirmedText": ({ threshold }) =>
    `The face is not similar enough to those registered under this id; ` +
    `${percent(threshold)} are needed.`,
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
  "camera.switch": "Other camera",
  "camera.take": "Take the photograph",
  "camera.place": "Face inside the oval",
  "camera.choose": "Choose photographs",
  "camera.chooseOne": "Choose a photograph",
  "camera.drop": "or drop them here",
  "camera.dropOne": "or drop it here",

  "key.heading": { "api-key": "API key", cognito: "Access token" },
  "key.text": {
    "api-key": "This service asks for a key. Whoever runs it can give you one.",
    cognito: "This service asks for a token. Sign in where you were told to, and paste it here.",
  },
  "key.label": { "api-key": "Key", cognito: "Token" },
  "key.kept": "It is kept in this tab only, and forgotten when you close it.",
  "key.refused": "The service did not accept it. Check it, or ask for another.",
  "key.use": "Use it",
  "key.cancel": "Cancel",

  again: "Try again",

  // What can go wrong: what it is, and what to do.
  problems: {
    no_face: ["No face found", "Move closer, face the camera, and take off what covers the face."],
    several_faces: ["Several faces are in the picture", "Take one with only this person."],
    poor_quality: [
      "The face cannot be made out well enough",
      "Move closer, turn to the light, and hold still.",
    ],
    image_too_small: ["The picture is too small", "Use one in which the face is larger."],
    image_too_large: ["The file is too large", "Use one of up to 15 MB."],
    unsupported_image: [
      "This file cannot be read as a photograph",
      "Save it as JPEG or PNG, and try that.",
    ],
    image_missing: ["The photograph is gone", "It was removed meanwhile. Send it again."],
    face_registered_to_another_person: [
      "This face is registered already",
      "If it is the same person, add the photograph to them. If not, ask whoever runs the service.",
    ],
    person_exists: [
      "Somebody else has this id",
      "The faces registered under it look different. Choose another id, unless it is the same person.",
    ],
    person_unknown: ["Nobody has this id", "Check how it is written, or ask “Who is it?”"],
    malformed_request: ["The service did not understand", "Check name and id, and try again."],
    throttled: ["The service is busy", "Wait a moment, then try again."],
    service_unavailable: ["The service is not available", "Wait a moment, then try again."],
    internal: ["Something went wrong in the service", "Try again. If it stays, tell who runs it."],
    photograph_not_kept: ["The photograph is no longer there", "Take it anew."],
    unauthorized: ["The service does not know you", "Ask whoever runs it for a new key."],
    not_found: ["The service is somewhere else", "Tell who runs it."],
    method_not_allowed: ["The service did not understand", "Tell who runs it."],
    unsupported_media_type: ["The service did not understand", "Tell who runs it."],
    request_timeout: ["The photograph took too long", "The network may be slow. Try again."],
    offline: ["This device is offline", "Connect to the network, then try again."],
    timeout: ["The answer takes too long", "The network may be slow. Try again."],
    unreachable: [
      "The service does not answer",
      "Check the network, and that the service is running.",
    ],
    unreachable_or_key: [
      "The service does not answer, or not to this key",
      "Check the network. To try again with another key, press the button.",
    ],
    upload_failed: ["The upload was refused", "Try again."],
    key_needed: ["A key is needed", "Try again, and enter it."],
    forbidden: ["The service does not let you in", "Ask whoever runs it."],
    camera_refused: [
      "The camera is not allowed",
      "Allow it in the address bar, then try again. Or choose a photograph.",
    ],
    camera_missing: ["There is no camera", "Connect one, then try again. Or choose a photograph."],
    camera_busy: [
      "The camera cannot be used",
      "Another program may be using it. Close that, then try again. Or choose a photograph.",
    ],
    camera_insecure: [
      "No camera on this address",
      "Browsers give the camera to https:// and to this machine only. Choose a photograph instead.",
    ],
  },
};
