// The look: one neutral scale, one colour for each verdict, system fonts; no colour carries a meaning alone. What a page may set
// begins with `--ap-`. It is light or dark as the page is (`color-scheme`), and laid out by the element's own width. A verdict,
// a level or a state of the connection gives a colour, --c, and a shape, --s, which is cut out: images and fonts can be forbidden.

export const STYLES = `
:host{display:block;container-type:inline-size}
:host([hidden]),:empty:is(p,small,span,.notices){display:none}
*,::before{box-sizing:border-box;margin:0;padding:0;color:inherit;font:inherit}
.root{
--t:var(--ap-text,light-dark(#1a202b,#e3e7ed));
--p:var(--ap-panel,light-dark(#fff,#161a20));
--run:var(--ap-accent,light-dark(#2457d0,#7ea8ff));
--ok:var(--ap-good,light-dark(#187a43,#59c78b));
--bad:var(--ap-bad,light-dark(#c02a31,#ff8f89));
--wait:var(--ap-wait,light-dark(#8f5b00,#e3b15c));
--mono:12px/1.5 var(--ap-mono,ui-monospace,Consolas,monospace);
--m:color-mix(in srgb,var(--t) 68%,var(--p));
--l:color-mix(in srgb,var(--t) 14%,var(--p));
--g:color-mix(in srgb,var(--t) 5%,var(--p));
background:var(--p);
color:var(--t);
border:1px solid var(--l);
border-radius:var(--ap-radius,8px);
overflow:clip;
overflow-wrap:anywhere;
font:14px/1.45 var(--ap-font,system-ui,sans-serif)}
.completed,.live{--c:var(--ok);--s:polygon(10% 50%,20% 40%,40% 60%,80% 15%,90% 25%,40% 80%)}
.failed,.lost,.gave_up,.level-3,.level-4{--c:var(--bad);--s:polygon(20% 10%,50% 40%,80% 10%,90% 20%,60% 50%,90% 80%,80% 90%,50% 60%,20% 90%,10% 80%,40% 50%,10% 20%)}
.waiting,.reconnecting,.questions,.level-2{--c:var(--wait);--s:polygon(20% 10%,40% 10%,40% 90%,60% 90%,60% 10%,80% 10%,80% 90%,20% 90%)}
.cancelled,.interrupted,.skipped{--c:var(--m);--s:inset(43% 15%)}
.running,.pending,.planned{--c:var(--run);--s:inset(50%)}
h2{flex:1 1 12rem;font-size:17px;font-weight:650}
h3,.status,[aria-current],.phase b{font-weight:650}
h3,h4,small,dl,.phases,.active,.connection,button,select,.step p,.finished{font-size:12.5px}
h4,small,dt,.foot,.connection,.figure,.quiet,.phases,.step p,.finished{color:var(--m)}
[aria-current]{color:var(--t)}
b,p,dd,h2,small,.box,.chip,.lines span{unicode-bidi:isolate}
.prose,.box,.lines span,.step p{white-space:pre-wrap}
.box{max-block-size:20rem;overflow:auto;margin-block-start:4px}
pre,.lines,.foot,:is(.tool,.model) b{font:var(--mono)}
a{color:var(--run)}
button,select,[part=input]{background:var(--p);border:1px solid var(--l);border-radius:5px;padding:2px 9px}
button{cursor:pointer}
button:hover{border-color:var(--m)}
[aria-disabled=true]{opacity:.7}
:focus-visible{outline:2px solid var(--run);outline-offset:-2px}
.head,.panel,.foot,.quiet{padding:10px 16px}
.bar,.line,.connection,.status,.phases,.phases li,.active,.step,.figures{display:flex;align-items:center;gap:4px 8px}
.line,.phases,.active{flex-wrap:wrap}
.bar{min-block-size:26px}
.bar>:is(select,button),.figures{margin-inline-start:auto}
.head>*+*,.notice+*,.question+*,.text+*{margin-block-start:8px}
.head>.line,.phases,.figures{column-gap:12px}
.figure,.figures{font-variant-numeric:tabular-nums}
.dot{inline-size:8px;block-size:8px;border-radius:50%;border:2px solid}
.live .dot{background:var(--c)}
.dot,.connection:is(.gave_up,.reconnecting){color:var(--c,var(--m))}
progress{appearance:none;flex:1 1 2rem;block-size:6px;border:0;border-radius:3px;background:var(--l);color:var(--c,var(--run));overflow:hidden}
::-webkit-progress-bar{background:0 0}
::-webkit-progress-value{background:currentColor;transition:inline-size .25s}
::-moz-progress-bar{background:currentColor}
.glyph{flex:none;inline-size:14px;block-size:14px;border-radius:50%;color:var(--c,var(--m))}
.glyph::before{content:"";display:block;block-size:100%;background:currentColor;clip-path:var(--s,circle(25%))}
.glyph:is(.pending,.planned,.running){border:2px solid var(--l);scale:.85}
.glyph.running{border-color:var(--c);--s:circle(30%)}
.head .glyph.running{border-inline-end-color:var(--l);--s:inset(50%);animation:turn 1s linear infinite}
@keyframes turn{to{rotate:1turn}}
.head:is(.gave_up,.reconnecting) *,.line.waiting~* *{animation-play-state:paused}
.chip,.notice,summary:hover{background:var(--g)}
.chip{padding:1px 8px;border-radius:5px}
.notice,.panel.failed,.panel.lost,.questions{border-inline-start:3px solid var(--c)}
.notice{padding:6px 12px}
.failed h3,.error,[role=alert]{color:var(--bad)}
.body>*,.panel+.panel,.foot{min-inline-size:0;border-block-start:1px solid var(--l)}
dl{display:grid;grid-template-columns:fit-content(40%) 1fr;gap:2px 16px}
.reasoning .box{color:var(--m)}
.tree{padding-inline-start:4px}
.tree li{content-visibility:auto;contain-intrinsic-block-size:auto 24px;margin-inline-start:-18px;padding-inline-start:18px}
.tree ul{margin-inline-start:6px;padding-inline-start:17px;border-inline-start:1px solid var(--l)}
.step{align-items:baseline;padding-block:2px}
.step>.glyph{translate:0 2px}
.step>div{flex:1;min-inline-size:0}
.step p{max-block-size:6em;overflow:auto}
.step progress{display:block;inline-size:100%;block-size:3px;margin-block:2px}
ul,ol{list-style:none}
summary{cursor:pointer;list-style-position:outside}
::marker{color:var(--m)}
.lines{max-block-size:var(--ap-log-height,26rem);overflow:auto;margin:4px -16px -10px;padding-block:2px 8px;contain:content}
.lines div:not(:last-child){content-visibility:auto;contain-intrinsic-block-size:auto 900px}
.lines p{padding-inline:calc(16px + 18ch) 16px;text-indent:-18ch}
.lines b{display:inline-block;inline-size:18ch;text-indent:0;color:var(--c,var(--m))}
.lines small{font:inherit}
form{max-inline-size:30rem;margin-block:4px}
form>small{display:block;margin:-4px 0 8px}
.required:not(:empty)::after{content:" *"}
form>:is(label,div){display:grid;gap:2px;margin-block-end:6px}
fieldset{display:flex;flex-wrap:wrap;gap:6px 12px;border:0}
fieldset label{display:flex;flex-direction:row-reverse;gap:4px}
@container(min-width:56rem){.body{display:grid;grid-template-columns:1fr 1fr}.body>:only-child{grid-column:1/-1}.body>*+*{border-inline-start:1px solid var(--l)}}
@container(max-width:30rem){.lines p{padding:2px 16px;text-indent:0}.lines span{display:block}}
@media(prefers-reduced-motion){*{animation:none!important;transition:none!important}}
@media(forced-colors:active){progress,.glyph,.dot{forced-color-adjust:none;color:CanvasText;--l:GrayText}}
`;
