<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE TS>
<TS version="2.1" language="en_US">
<context>
    <name>DiscoverPage</name>
    <message numerus="yes">
        <source>%n result(s)</source>
        <translation>
            <numerusform>%n result</numerusform>
            <numerusform>%n results</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>LibraryPage</name>
    <message numerus="yes">
        <source>%n model(s)</source>
        <translation>
            <numerusform>%n model</numerusform>
            <numerusform>%n models</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>Figures</name>
    <message numerus="yes">
        <source>%n token(s)</source>
        <translation>
            <numerusform>%Ln token</numerusform>
            <numerusform>%Ln tokens</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>PictureChip</name>
    <message numerus="yes">
        <source>%n token(s)</source>
        <translation>
            <numerusform>%Ln token</numerusform>
            <numerusform>%Ln tokens</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>Words</name>
    <message numerus="yes">
        <source>%n minute(s) ago</source>
        <translation>
            <numerusform>%n minute ago</numerusform>
            <numerusform>%n minutes ago</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n hour(s) ago</source>
        <translation>
            <numerusform>%n hour ago</numerusform>
            <numerusform>%n hours ago</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n day(s) ago</source>
        <translation>
            <numerusform>%n day ago</numerusform>
            <numerusform>%n days ago</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n month(s) ago</source>
        <translation>
            <numerusform>%n month ago</numerusform>
            <numerusform>%n months ago</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n year(s) ago</source>
        <translation>
            <numerusform>%n year ago</numerusform>
            <numerusform>%n years ago</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>A forecast from what was measured on this machine, corrected by %n answer(s).</source>
        <translation>
            <numerusform>A forecast from what was measured on this machine, corrected by %n answer.</numerusform>
            <numerusform>A forecast from what was measured on this machine, corrected by %n answers.</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>UsagePage</name>
    <message numerus="yes">
        <source>%n day(s)</source>
        <translation>
            <numerusform>%n day</numerusform>
            <numerusform>%n days</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>MachineCard</name>
    <message numerus="yes">
        <source>Our forecasts of %n answer(s) were off by {median} % (median), {worst} % at worst.</source>
        <translation>
            <numerusform>Our forecast of %n answer was off by {median} %.</numerusform>
            <numerusform>Our forecasts of %n answers were off by {median} % (median), {worst} % at worst.</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>GroupCard</name>
    <message numerus="yes">
        <source>%n more setting(s)</source>
        <translation>
            <numerusform>%n more setting</numerusform>
            <numerusform>%n more settings</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>ModelFileDialog</name>
    <message numerus="yes">
        <source>%n tensor(s)</source>
        <translation>
            <numerusform>%n tensor</numerusform>
            <numerusform>%n tensors</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n key(s)</source>
        <translation>
            <numerusform>%n key</numerusform>
            <numerusform>%n keys</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>FoldersDialog</name>
    <message numerus="yes">
        <source>%n model(s)</source>
        <translation>
            <numerusform>%n model</numerusform>
            <numerusform>%n models</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>Library</name>
    <message numerus="yes">
        <source>Used %n time(s)</source>
        <translation>
            <numerusform>Used %n time</numerusform>
            <numerusform>Used %n times</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n part(s)</source>
        <translation>
            <numerusform>%n part</numerusform>
            <numerusform>%n parts</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>Deletion</name>
    <message numerus="yes">
        <source>Delete %n model(s)?</source>
        <translation>
            <numerusform>Delete %n model?</numerusform>
            <numerusform>Delete %n models?</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n model(s) are in the bin.</source>
        <translation>
            <numerusform>%n model is in the bin.</numerusform>
            <numerusform>%n models are in the bin.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n model(s) are deleted.</source>
        <translation>
            <numerusform>%n model is deleted.</numerusform>
            <numerusform>%n models are deleted.</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>RepoView</name>
    <message numerus="yes">
        <source>Show %n picture(s)</source>
        <translation>
            <numerusform>Show %n picture</numerusform>
            <numerusform>Show %n pictures</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>RepoHead</name>
    <message numerus="yes">
        <source>%n layer(s)</source>
        <translation>
            <numerusform>%n layer</numerusform>
            <numerusform>%n layers</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>QuantTable</name>
    <message numerus="yes">
        <source>In %n file(s), downloaded as one</source>
        <translation>
            <numerusform>In %n file</numerusform>
            <numerusform>In %n files, downloaded as one</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>OfflineView</name>
    <message numerus="yes">
        <source>%n model(s) on this machine, your chats and the local server work as always.</source>
        <translation>
            <numerusform>%n model on this machine, your chats and the local server work as always.</numerusform>
            <numerusform>%n models on this machine, your chats and the local server work as always.</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>DownloadDetails</name>
    <message numerus="yes">
        <source>and %n further file(s)</source>
        <translation>
            <numerusform>and %n further file</numerusform>
            <numerusform>and %n further files</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>DownloadsPage</name>
    <message numerus="yes">
        <source>%n paused</source>
        <translation>
            <numerusform>%n paused</numerusform>
            <numerusform>%n paused</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>Cancel %n download(s)?</source>
        <translation>
            <numerusform>Cancel %n download?</numerusform>
            <numerusform>Cancel %n downloads?</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>Context</name>
    <message numerus="yes">
        <source>%n token(s) are used again next turn</source>
        <translation>
            <numerusform>%Ln token is used again next turn</numerusform>
            <numerusform>%Ln tokens are used again next turn</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>ChatPage</name>
    <message numerus="yes">
        <source>%n chat(s) could be saved,</source>
        <translation>
            <numerusform>%n chat could be saved,</numerusform>
            <numerusform>%n chats could be saved,</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n chat(s) exported to {path}.</source>
        <translation>
            <numerusform>%n chat exported to {path}.</numerusform>
            <numerusform>%n chats exported to {path}.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n chat(s) imported</source>
        <translation>
            <numerusform>%n chat imported</numerusform>
            <numerusform>%n chats imported</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>with %n message(s)</source>
        <translation>
            <numerusform>with %Ln message</numerusform>
            <numerusform>with %Ln messages</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n file(s) could not be read</source>
        <translation>
            <numerusform>%n file could not be read</numerusform>
            <numerusform>%n files could not be read</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>ChatShelf</name>
    <message numerus="yes">
        <source>%n chat(s) imported</source>
        <translation>
            <numerusform>%n chat imported</numerusform>
            <numerusform>%n chats imported</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>ContextBar</name>
    <message numerus="yes">
        <source>The next question pushes %n message(s) out of the context</source>
        <translation>
            <numerusform>The next question pushes %n message out of the context</numerusform>
            <numerusform>The next question pushes %n messages out of the context</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n message(s) no longer fit and are left out</source>
        <translation>
            <numerusform>%Ln message no longer fits and is left out</numerusform>
            <numerusform>%Ln messages no longer fit and are left out</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>Profiles</name>
    <message numerus="yes">
        <source>%n more</source>
        <translation>
            <numerusform>%n more</numerusform>
            <numerusform>%n more</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>ShortcutsDialog</name>
    <message numerus="yes">
        <source>%n command(s) go back to their own keys.</source>
        <translation>
            <numerusform>%n command goes back to its own keys.</numerusform>
            <numerusform>%n commands go back to their own keys.</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>PromptsDialog</name>
    <message numerus="yes">
        <source>%n prompt(s) have changes that are not saved.</source>
        <translation>
            <numerusform>%n prompt has changes that are not saved.</numerusform>
            <numerusform>%n prompts have changes that are not saved.</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>BeforeCard</name>
    <message numerus="yes">
        <source>%n tensor(s) can&apos;t take {type}: their rows don&apos;t divide. They get a finer one.</source>
        <translation>
            <numerusform>%n tensor can&apos;t take {type}: its rows don&apos;t divide. It gets a finer one.</numerusform>
            <numerusform>%n tensors can&apos;t take {type}: their rows don&apos;t divide. They get a finer one.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>Make %n quant(s), {size}</source>
        <translation>
            <numerusform>Make %n quant, {size}</numerusform>
            <numerusform>Make %n quants, {size}</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>Make %n quant(s)</source>
        <translation>
            <numerusform>Make %n quant</numerusform>
            <numerusform>Make %n quants</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>CompareQuants</name>
    <message numerus="yes">
        <source>{machine}: %n file(s) the same as here; their KL differs by {gap} at most.</source>
        <translation>
            <numerusform>{machine}: %n file the same as here; its KL differs by {gap}.</numerusform>
            <numerusform>{machine}: %n files the same as here; their KL differs by {gap} at most.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n measurement(s) of another copy, made with {engine}.</source>
        <translation>
            <numerusform>%n measurement of another copy, made with {engine}.</numerusform>
            <numerusform>%n measurements of another copy, made with {engine}.</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>Lab</name>
    <message numerus="yes">
        <source>%n job(s) to do</source>
        <translation>
            <numerusform>%n job to do</numerusform>
            <numerusform>%n jobs to do</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>Measure %n model(s)</source>
        <translation>
            <numerusform>Measure %n model</numerusform>
            <numerusform>Measure %n models</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n tensor(s) took another type</source>
        <translation>
            <numerusform>%n tensor took another type</numerusform>
            <numerusform>%n tensors took another type</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n tensor(s) can&apos;t take this type and get another one.</source>
        <translation>
            <numerusform>%n tensor can&apos;t take this type and gets another one.</numerusform>
            <numerusform>%n tensors can&apos;t take this type and get another one.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>, %n piece(s)</source>
        <translation>
            <numerusform>, %n piece</numerusform>
            <numerusform>, %n pieces</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n as good</source>
        <translation>
            <numerusform>%n as good</numerusform>
            <numerusform>%n as good</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>SpeedPanel</name>
    <message numerus="yes">
        <source>and %n more</source>
        <translation>
            <numerusform>and %n more</numerusform>
            <numerusform>and %n more</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>Unloading</name>
    <message numerus="yes">
        <source>%n answer(s) would break off; what is written of them is kept.</source>
        <translation>
            <numerusform>%n answer would break off; what is written of it is kept.</numerusform>
            <numerusform>%n answers would break off; what is written of them is kept.</numerusform>
        </translation>
    </message>
</context>
</TS>
