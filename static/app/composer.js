// The composer: Enter sends, images are dropped, pasted or picked, and nothing typed is lost when something fails.

const form = document.getElementById("composer");
const text = document.getElementById("text");
const attachments = document.getElementById("attachments");
const error = document.getElementById("composer-error");
const pick = document.getElementById("pick");
const draftKey = `draft:${form.getAttribute("action")}`;
let uploading = 0;
let sendAfterUpload = false;

function fit() {
  if (CSS.supports("field-sizing", "content")) return;
  text.style.height = "auto";
  text.style.height = `${text.scrollHeight}px`;
}

text.value ||= sessionStorage.getItem(draftKey) ?? "";
fit();
text.addEventListener("input", () => {
  sessionStorage.setItem(draftKey, text.value);
  fit();
});
text.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  if (!document.querySelector("#composer-action .send")) {
    error.textContent = "The last question is still being answered. Wait for it, or stop it first.";
    return;
  }
  form.requestSubmit(form.querySelector(".send"));
});

form.addEventListener("htmx:confirm", (event) => {
  if (event.target !== form || uploading === 0) return;
  event.preventDefault(); // send when the images are there
  sendAfterUpload = true;
});
// The last question this page knows: another tab may have gone on, and then the page is loaded anew.
form.addEventListener("htmx:configRequest", (event) => {
  const known = [...document.querySelectorAll(".turn.question")].at(-1);
  if (event.target === form) event.detail.parameters.known = known?.id.replace("m-", "") ?? "";
});
form.addEventListener("htmx:afterRequest", (event) => {
  if (event.detail.elt !== form || !event.detail.successful) return;
  sessionStorage.removeItem(draftKey);
  text.value = "";
  attachments.replaceChildren();
  fit();
  text.focus();
});

attachments.addEventListener("click", (event) => {
  const button = event.target.closest("[data-remove]");
  if (!button) return;
  button.closest(".attachment").remove();
  text.focus();
});

function waiting(name) {
  const row = document.createElement("div");
  row.className = "attachment";
  const label = document.createElement("span");
  label.className = "attachment-name";
  label.textContent = name;
  const progress = document.createElement("progress");
  progress.setAttribute("aria-label", `Uploading ${name}`);
  row.append(label, progress);
  attachments.append(row);
  return { row, progress };
}

function lineOf(xhr) {
  if (xhr.status === 0) return "The server cannot be reached. Try again in a moment.";
  if ((xhr.getResponseHeader("Content-Type") || "").includes("json")) return JSON.parse(xhr.responseText).detail;
  if (xhr.status === 403) return "You have been signed out, or the page is too old. Reload it and attach the file again.";
  return xhr.responseText.startsWith("<") ? `The server answered ${xhr.status}. Try again in a moment.` : xhr.responseText;
}

function complain(line) {
  error.textContent += `${error.textContent && "\n"}${line}`;
}

// Files that make one upload: one image, or the slices of a series.
function upload(files) {
  const limit = Number(form.dataset.limit);
  const name = files.length > 1 ? `${files.length} DICOM files` : files[0].name || "pasted image";
  if (files.reduce((sum, file) => sum + file.size, 0) > limit) {
    const what = files.length > 1 ? "Together they are" : "This file is";
    complain(`${name}: ${what} larger than the limit of ${Math.floor(limit / 2 ** 20)} MB.`);
    return;
  }
  const { row, progress } = waiting(name);
  const body = new FormData();
  for (const file of files) body.append("file", file);
  const xhr = new XMLHttpRequest();
  xhr.open("POST", form.dataset.upload);
  xhr.setRequestHeader("HX-Request", "true");
  xhr.setRequestHeader("X-CSRFToken", form.elements.csrfmiddlewaretoken.value);
  xhr.upload.addEventListener("progress", (event) => {
    if (!event.lengthComputable) return;
    if (event.loaded < event.total) progress.value = event.loaded / event.total;
    else progress.removeAttribute("value"); // sent; the server is reading it
  });
  xhr.addEventListener("loadend", () => {
    uploading -= 1;
    if (xhr.status >= 200 && xhr.status < 300) {
      const made = document.createElement("template");
      made.innerHTML = xhr.responseText;
      for (const refused of made.content.querySelectorAll(".attachment-refused")) {
        complain(refused.textContent); // of a series, where the other files are fine
        refused.remove();
      }
      row.replaceWith(made.content);
    } else {
      row.remove();
      complain(`${name}: ${lineOf(xhr)}`);
      sendAfterUpload = false;
    }
    if (uploading === 0 && sendAfterUpload) {
      sendAfterUpload = false;
      form.requestSubmit(form.querySelector(".send"));
    }
  });
  uploading += 1;
  xhr.send(body);
}

// Slices come as .dcm, .ima or without any ending; the server sorts them into series by what is in them.
const isSlice = (file) => /\.(dcm|dicom|ima)$/i.test(file.name) || !file.name.includes(".") || /^[\d.]+$/.test(file.name);

function uploadAll(files) {
  error.textContent = "";
  const slices = [...files].filter((file) => isSlice(file));
  if (slices.length) upload(slices);
  for (const file of files) if (!isSlice(file)) upload([file]);
}

// A dropped folder gives its files, at any depth.
async function filesOf(entry) {
  if (entry.isFile) return [await new Promise((resolve, reject) => entry.file(resolve, reject))];
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) break;
    for (const inside of some) found.push(...(await filesOf(inside)));
  }
  return found.filter((file) => !file.name.startsWith("."));
}

async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) return [...transfer.files];
  return (await Promise.all(entries.map(filesOf))).flat();
}

pick.addEventListener("change", () => {
  uploadAll(pick.files);
  pick.value = "";
  text.focus();
});
text.addEventListener("paste", (event) => {
  if (!event.clipboardData.files.length) return;
  event.preventDefault();
  uploadAll(event.clipboardData.files);
});
const carriesFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
document.addEventListener("dragover", (event) => {
  if (!carriesFiles(event)) return;
  event.preventDefault();
  form.classList.add("dropping");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) form.classList.remove("dropping");
});
document.addEventListener("drop", async (event) => {
  if (!carriesFiles(event)) return;
  event.preventDefault();
  form.classList.remove("dropping");
  text.focus();
  uploadAll(await dropped(event.dataTransfer));
});
