// addresses are relative, so that the service may stand under a path of a proxy
SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#page",
  deepLinking: true,
  validatorUrl: null, // nothing is fetched from elsewhere
  onComplete: () => {
    const title = document.querySelector("#page .title");
    if (title) document.title = title.firstChild.textContent.trim();
  },
});
