// The look: one neutral scale, one colour for each verdict, system fonts; no colour carries a meaning alone. What a page may set
// begins with `--ap-`. It is light or dark as the page is (`color-scheme`), and laid out by the element's own width.

const CHECK = "polygon(8% 52%,22% 38%,41% 57%,79% 15%,93% 29%,41% 85%)";
const CROSS = "polygon(22% 10%,50% 38%,78% 10%,90% 22%,62% 50%,90% 78%,78% 90%,50% 62%,22% 90%,10% 78%,38% 50%,10% 22%)";
const PAUSE = "polygon(20% 12%,40% 12%,40% 88%,60% 88%,60% 12%,80% 12%,80% 88%,20% 88%)";

export const STYLES = `
:host{display:block;container-type:inline-size;contain-intrinsic-inline-size:48rem;min-inline-size:0;max-inline-size:100%}
:host([hidden]),[hidden],p:empty,small:empty,span:empty,footer:empty,h3:empty{display:none!important}
*,::before{box-sizing:border-box;margin:0}
.ap{--p:var(--ap-panel,light-dark(#fff,#161a20));--g:var(--ap-ground,light-dark(#f4f5f7,#0f1216));--l:var(--ap-line,light-dark(#e1e4e9,#2b323c))
;--t:var(--ap-text,light-dark(#1a202b,#e3e7ed));--m:var(--ap-muted,light-dark(#5b6472,#98a2b0));--run:var(--ap-accent,light-dark(#2457d0,#7ea8ff))
;--ok:var(--ap-good,light-dark(#187a43,#59c78b));--bad:var(--ap-bad,light-dark(#c02a31,#ff8f89));--wait:var(--ap-wait,light-dark(#8f5b00,#e3b15c))
;--mono:var(--ap-mono,ui-monospace,SFMono-Regular,Menlo,Consolas,monospace);--r:var(--ap-radius,8px)
;background:var(--p);color:var(--t);border:1px solid var(--l);border-radius:var(--r);overflow:clip;overflow-wrap:anywhere;text-align:start
;font:14px/1.45 var(--ap-font,system-ui,sans-serif)}
h2{font-size:17px;line-height:1.3;flex:1 1 12rem;font-weight:650}
h3{display:flex;align-items:center;gap:8px;min-block-size:26px;font-size:13px;font-weight:650}
h4{font-size:12px;font-weight:500;color:var(--m)}
small{font-size:12px;font-weight:400;color:var(--m)}
ul,ol{list-style:none;padding:0}
h2,b,p,dd,.prose,.chip,.log span{unicode-bidi:isolate}
.prose,pre,.box{white-space:pre-wrap}
.box{max-block-size:20rem;overflow:auto;margin-block-start:4px;tab-size:2}
pre{font:12.5px/1.5 var(--mono)}
a{color:var(--run)}
button,select,input,textarea{font:inherit;font-size:12px;color:inherit;background:var(--p);border:1px solid var(--l);border-radius:5px;padding:2px 9px}
button{font-weight:500;white-space:nowrap;cursor:pointer}
button:hover{border-color:var(--m)}
[aria-disabled=true]{color:var(--m);cursor:default}
:focus-visible{outline:2px solid var(--run);outline-offset:-2px}
button:focus-visible{outline-offset:1px}
header,section>section,footer,.quiet{padding:10px 16px}
.quiet{color:var(--m)}
.line{display:flex;flex-wrap:wrap;align-items:baseline;gap:2px 12px}
header>.line{align-items:center}
header>*+*{margin-block-start:8px}
.link,.status{display:flex;align-items:center;gap:7px}
.link{font-size:13px;color:var(--m)}
.status{font-weight:600}
.figure,.figures,time{font-variant-numeric:tabular-nums;white-space:nowrap}
.figure{color:var(--m)}
.dot{inline-size:8px;block-size:8px;border-radius:50%;border:2px solid var(--m)}
[data-connection=live] .dot{background:var(--ok);border-color:var(--ok)}
[data-connection=replaying] .dot{border-color:var(--ok)}
[data-connection=reconnecting] .link{color:var(--wait)}
[data-connection=gave_up] .link{color:var(--bad)}
.link .dot{border-color:currentColor}
progress{appearance:none;flex:1 1 6rem;block-size:6px;border:0;border-radius:3px;background:var(--l);color:var(--run);overflow:hidden}
progress::-webkit-progress-bar{background:none}
progress::-webkit-progress-value{background:currentColor;border-radius:3px;transition:inline-size .25s}
progress::-moz-progress-bar{background:currentColor;border-radius:3px}
progress:indeterminate{background:linear-gradient(90deg,#0000,var(--run),#0000) 0/40% 100% no-repeat var(--l);animation:slide 1.8s linear infinite}
progress:indeterminate::-moz-progress-bar{background:none}
[data-status=completed] header progress{color:var(--ok)}
:is([data-status=failed],[data-status=lost]) header progress{color:var(--bad)}
:is([data-status=waiting],[data-status=cancelled]) header progress{color:var(--m)}
@keyframes slide{from{background-position-x:-70%}to{background-position-x:170%}}
.g{flex:none;inline-size:14px;block-size:14px;border-radius:50%;color:var(--m)}
.g::before{content:"";display:block;block-size:100%;background:currentColor;clip-path:var(--s,circle(25%))}
[data-s=completed]{color:var(--ok);--s:${CHECK}}
:is([data-s=failed],[data-s=lost]){color:var(--bad);--s:${CROSS}}
:is([data-s=cancelled],[data-s=interrupted],[data-s=skipped]){--s:inset(43% 15%)}
[data-s=waiting]{color:var(--wait);--s:${PAUSE}}
:is([data-s=pending],[data-s=planned],[data-s=running]){border:2px solid var(--l);scale:.85;--s:inset(50%)}
[data-s=running]{border-color:var(--run);border-inline-end-color:var(--l);animation:turn 1s linear infinite}
@keyframes turn{to{rotate:1turn}}
:is([data-connection=reconnecting],[data-connection=gave_up],[data-status=waiting]) :is(.g,progress){animation-play-state:paused}
.phases,.active{display:flex;flex-wrap:wrap;align-items:center;gap:4px 14px;font-size:13px}
.phases li{display:flex;align-items:center;gap:6px;color:var(--m)}
.phases .running{color:var(--t);font-weight:600}
.active{gap:4px 8px}
.chip{padding:1px 8px;border-radius:5px;background:var(--g);max-inline-size:100%}
.notices:empty{display:none}
.notices{display:grid;gap:6px}
.notices p,.outcome,.questions{border-inline-start:3px solid var(--wait)}
.notices p{padding:6px 12px;background:var(--g)}
.notices .bad,.outcome{border-color:var(--bad)}
[data-tone=calm]{border-color:var(--m)!important}
[data-tone=bad] h3,p.bad{color:var(--bad)}
.notices .bad{color:inherit}
.body>div{min-inline-size:0;border-block-start:1px solid var(--l)}
.body>div:not(:has(>:not([hidden]))){display:none}
.body section:not([hidden])~section{border-block-start:1px solid var(--l)}
.question+.question{margin-block-start:12px}
dl{display:grid;grid-template-columns:fit-content(40%) 1fr;gap:2px 16px;font-size:13px}
dt{color:var(--m)}
.artifacts li{padding-block:2px}
.artifacts small{flex:1}
article+article{margin-block-start:10px}
[data-channel=reasoning] .box{color:var(--m);font-size:13px;max-block-size:9rem;padding-inline-start:10px;border-inline-start:2px solid var(--l)}
.tree ul{margin-inline-start:7px;padding-inline-start:11px;border-inline-start:1px solid var(--l)}
.row{display:flex;gap:8px;padding-block:2px;content-visibility:auto;contain-intrinsic-block-size:auto 24px}
.row .g{margin-block-start:3px}
.grow{flex:1;min-inline-size:0}
.row .line{gap:0 8px}
.row b{font-weight:400}
[data-kind=phase] b{font-weight:650}
[data-kind=agent] b{font-weight:550}
:is([data-kind=tool],[data-kind=model]) b{font:13px/1.5 var(--mono)}
:is(.planned,.skipped) b{color:var(--m);font-weight:400}
.figures{display:flex;gap:12px;margin-inline-start:auto}
.row p{font-size:13px;color:var(--m);white-space:pre-wrap;max-block-size:6em;overflow:auto}
.row progress{display:block;inline-size:100%;block-size:3px;margin-block:3px}
summary{cursor:pointer;list-style:none;border-radius:4px;position:relative}
summary:hover{background:var(--g)}
.finished>summary{font-size:12px;color:var(--m);padding-block:2px}
.log{max-block-size:var(--ap-log-height,26rem);overflow:auto;margin-inline:-16px;margin-block-end:-10px;padding-block:4px;font:12px/1.5 var(--mono)}
.log div{content-visibility:auto;contain-intrinsic-block-size:auto 1800px}
.log p{display:grid;grid-template-columns:9ch 8ch 1fr;gap:0 8px;padding-inline:16px}
.log :is(time,b){color:var(--m);font-weight:400}
.log span{white-space:pre-wrap}
.log [data-l="0"]{color:var(--m)}
.log [data-l="2"] b{color:var(--wait)}
.log [data-l="3"] :is(b,span){color:var(--bad)}
.log h3 small,.log+*{}
select{margin-inline-start:auto}
footer{font:11.5px/1.5 var(--mono);color:var(--m);border-block-start:1px solid var(--l);padding-block:5px}
@container (min-width:56rem){
.body{display:grid;grid-template-columns:1fr 1fr}
.body>div+div{border-inline-start:1px solid var(--l)}
}
@container (max-width:30rem){
header,section>section,footer,.quiet{padding-inline:12px}
.log{margin-inline:-12px}
.log p{grid-template-columns:auto 1fr;padding:2px 12px}
.log span{grid-column:1/-1}
}
@media(prefers-reduced-motion:reduce){*{animation:none!important;transition:none!important}}
@media(forced-colors:active){progress,.g,.dot{forced-color-adjust:none;color:CanvasText;--l:GrayText}}
`;
