// Sending to the server, with its token against forged forms; what is refused comes back as one line.

export async function post(url, body) {
  const { "X-CSRFToken": token } = JSON.parse(document.body.getAttribute("hx-headers"));
  const headers = { "X-CSRFToken": token, Accept: "application/json" };
  if (body && !(body instanceof FormData)) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(url, { method: "POST", headers, body: body instanceof FormData ? body : JSON.stringify(body ?? {}) });
  } catch {
    throw new Error("The server cannot be reached. Try again in a moment.");
  }
  if (response.ok) return response.status === 204 ? null : response.json();
  throw new Error(await lineOf(response));
}

async function lineOf(response) {
  if ((response.headers.get("Content-Type") ?? "").includes("json")) return (await response.json()).detail;
  if (response.status === 403) return "You have been signed out, or the page is too old. Reload it.";
  return `The server answered ${response.status}. Try again in a moment.`;
}
